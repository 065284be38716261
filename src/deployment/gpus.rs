//! Assigns GPUs to replicas: no two replicas share one, unless the entry itself makes them.

use super::DeploymentError;

/// Variables that limit the GPUs of a process: NVIDIA's, which AMD's HIP reads as well; HIP's own; and the one of AMD's
/// lower layer, which renumbers the devices for the other two.
const CUDA: &str = "CUDA_VISIBLE_DEVICES";
const HIP: &str = "HIP_VISIBLE_DEVICES";
const ROCR: &str = "ROCR_VISIBLE_DEVICES";

/// Variables by which an entry chooses GPUs itself: the above, and the one of container runtimes.
pub(super) const VARIABLES: [&str; 4] = [CUDA, HIP, ROCR, "NVIDIA_VISIBLE_DEVICES"];

/// A deployment that needs GPUs.
#[derive(Clone, Copy, Debug)]
pub(super) struct GpuRequest<'a> {
    pub deployment: &'a str,
    pub replicas: usize,
    /// GPUs of each replica, where the entry gives a number.
    pub per_replica: Option<usize>,
    /// Whether the entry chooses GPUs itself.
    pub chooses_itself: bool,
    /// Whether its command contains `{gpus}`.
    pub wants_numbers: bool,
}

/// The GPUs of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AssignedGpus {
    /// Their numbers, with commas between them.
    pub numbers: String,
    /// Variables to start it with.
    pub variables: Vec<(&'static str, String)>,
}

/// Assigns GPUs to each replica, in order. They come from the harness's own variables where `env` has them, and are
/// counted from 0 otherwise. Several replicas without a number of GPUs get one each.
pub(super) fn assign(
    request: GpuRequest<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<AssignedGpus>, DeploymentError> {
    let per_replica = match request.per_replica {
        Some(count) => count,
        // A single replica uses all GPUs.
        None if request.replicas == 1 => 0,
        None => 1,
    };
    if per_replica == 0 || (request.chooses_itself && !request.wants_numbers) {
        return Ok(vec![AssignedGpus::default(); request.replicas]);
    }
    let pools = pools(env);
    if pools.iter().all(|pool| pool.is_hidden()) && request.per_replica.is_none() {
        // No GPU is visible, so replicas cannot share one.
        return Ok(vec![AssignedGpus::default(); request.replicas]);
    }
    let mut assigned = vec![AssignedGpus::default(); request.replicas];
    for (at, pool) in pools.iter().enumerate() {
        for (replica, assigned) in assigned.iter_mut().enumerate() {
            let numbers = pool.part(request, replica, per_replica)?;
            if !request.chooses_itself {
                assigned.variables.push((pool.variable, numbers.clone()));
            }
            if at == 0 {
                assigned.numbers = numbers;
            }
        }
    }
    Ok(assigned)
}

/// The GPUs that a variable can select from.
struct Pool {
    variable: &'static str,
    /// The variable that limits them, and its devices.
    limit: Option<(&'static str, Vec<String>)>,
}

/// `CUDA_VISIBLE_DEVICES` is set for every replica, HIP's only where the harness has it: replicas that inherited the
/// same value would share GPUs.
fn pools(env: &dyn Fn(&str) -> Option<String>) -> Vec<Pool> {
    let listed = |variable| Some((variable, devices(&env(variable)?)));
    let (cuda, hip) = (listed(CUDA), listed(HIP));
    let renumbered = listed(ROCR).map(|(variable, devices)| {
        let numbers = (0..devices.len()).map(|number| number.to_string());
        (variable, numbers.collect())
    });
    let hip_pool = hip.clone().map(|limit| Pool {
        variable: HIP,
        limit: Some(limit),
    });
    let cuda_pool = Pool {
        variable: CUDA,
        limit: cuda.or(hip).or(renumbered),
    };
    std::iter::once(cuda_pool).chain(hip_pool).collect()
}

impl Pool {
    fn is_hidden(&self) -> bool {
        matches!(&self.limit, Some((_, devices)) if devices.is_empty())
    }

    fn part(
        &self,
        request: GpuRequest<'_>,
        replica: usize,
        per_replica: usize,
    ) -> Result<String, DeploymentError> {
        let from = replica * per_replica;
        match &self.limit {
            None => {
                let numbers = (from..from + per_replica).map(|number| number.to_string());
                Ok(Vec::from_iter(numbers).join(","))
            }
            Some((variable, devices)) => match devices.get(from..from + per_replica) {
                Some(part) => Ok(part.join(",")),
                None => Err(DeploymentError::TooFewGpus {
                    deployment: request.deployment.to_owned(),
                    needed: request.replicas.saturating_mul(per_replica),
                    variable,
                    visible: devices.len(),
                }),
            },
        }
    }
}

/// The devices in a variable's value. Like CUDA, ignores a negative number and all devices after it.
fn devices(value: &str) -> Vec<String> {
    let devices = value.split(',').map(str::trim);
    let shown = devices.take_while(|device| !device.starts_with('-'));
    let named = shown.filter(|device| !device.is_empty());
    named.map(str::to_owned).collect()
}

/// Describes two replicas that would share a device, from the variables that each sets itself, as `(variable, value)`.
pub(super) fn shared(replicas: &[Vec<(String, String)>]) -> Option<String> {
    for (at, one) in replicas.iter().enumerate() {
        for (other_at, other) in replicas.iter().enumerate().skip(at + 1) {
            for (variable, value) in one {
                let same = other.iter().filter(|(name, _)| name == variable);
                let theirs: Vec<String> = same.flat_map(|(_, value)| devices(value)).collect();
                let both = devices(value).into_iter().filter(|d| theirs.contains(d));
                let both = Vec::from_iter(both).join(",");
                if !both.is_empty() {
                    return Some(format!(
                        "replicas {at} and {other_at} get the same GPUs from {variable} ({both})"
                    ));
                }
            }
        }
    }
    None
}

/// The values that a word of a command assigns to such variables: `env CUDA_VISIBLE_DEVICES=0 vllm …`, also within a
/// shell's command line.
pub(super) fn set_in(word: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for variable in VARIABLES {
        for (at, _) in word.match_indices(&format!("{variable}=")) {
            let value = &word[at + variable.len() + 1..];
            let value = value.trim_start_matches(['"', '\'']);
            let ends = |c: char| c.is_whitespace() || "\"';&|".contains(c);
            let value = value.split(ends).next().unwrap_or_default();
            found.push((variable.to_owned(), value.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(replicas: usize, per_replica: Option<usize>) -> GpuRequest<'static> {
        GpuRequest {
            deployment: "x",
            replicas,
            per_replica,
            chooses_itself: false,
            wants_numbers: false,
        }
    }

    /// Numbers and variables of each replica, as one text.
    fn texts(request: GpuRequest<'_>, env: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let read = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let assigned = assign(request, &read).map_err(|error| error.to_string())?;
        let text = |assigned: &AssignedGpus| {
            let variables = assigned.variables.iter();
            let variables = variables.map(|(name, value)| format!(" {name}={value}"));
            assigned.numbers.clone() + &variables.collect::<String>()
        };
        Ok(assigned.iter().map(text).collect())
    }

    #[test]
    fn no_gpu_is_assigned_twice() {
        let two_of_two = request(2, Some(2));
        for (request, env, expected) in [
            (
                two_of_two,
                &[][..],
                [
                    "0,1 CUDA_VISIBLE_DEVICES=0,1",
                    "2,3 CUDA_VISIBLE_DEVICES=2,3",
                ],
            ),
            (
                two_of_two,
                &[(CUDA, "4,5, 6,GPU-a")],
                [
                    "4,5 CUDA_VISIBLE_DEVICES=4,5",
                    "6,GPU-a CUDA_VISIBLE_DEVICES=6,GPU-a",
                ],
            ),
            // Without a number of GPUs each gets one.
            (
                request(2, None),
                &[],
                ["0 CUDA_VISIBLE_DEVICES=0", "1 CUDA_VISIBLE_DEVICES=1"],
            ),
            // A variable that the replicas would inherit is divided as well.
            (
                request(2, None),
                &[(HIP, "3,4")],
                [
                    "3 CUDA_VISIBLE_DEVICES=3 HIP_VISIBLE_DEVICES=3",
                    "4 CUDA_VISIBLE_DEVICES=4 HIP_VISIBLE_DEVICES=4",
                ],
            ),
            // ROCR's list renumbers devices from 0.
            (
                request(2, None),
                &[(ROCR, "6,7")],
                ["0 CUDA_VISIBLE_DEVICES=0", "1 CUDA_VISIBLE_DEVICES=1"],
            ),
            // Hidden GPUs cannot be shared.
            (request(2, None), &[(CUDA, "")], ["", ""]),
            (request(2, None), &[(CUDA, "-1")], ["", ""]),
        ] {
            assert_eq!(texts(request, env).unwrap(), expected, "{env:?}");
        }
        assert_eq!(texts(request(1, None), &[]).unwrap(), [""]);
    }

    #[test]
    fn an_entry_that_chooses_itself_is_left_alone() {
        let chooses_itself = GpuRequest {
            chooses_itself: true,
            ..request(2, Some(1))
        };
        assert_eq!(texts(chooses_itself, &[(CUDA, "0")]).unwrap(), ["", ""]);
        let told = GpuRequest {
            wants_numbers: true,
            ..chooses_itself
        };
        assert_eq!(texts(told, &[]).unwrap(), ["0", "1"]);
    }

    #[test]
    fn too_few_gpus_are_refused_rather_than_shared() {
        for (request, env, words) in [
            (
                request(4, Some(2)),
                [(CUDA, "0,1,2,3")],
                "needs 8 GPUs, but CUDA_VISIBLE_DEVICES shows 4",
            ),
            (
                request(2, None),
                [(CUDA, "0")],
                "needs 2 GPUs, but CUDA_VISIBLE_DEVICES shows 1",
            ),
            (
                request(2, None),
                [(ROCR, "5")],
                "needs 2 GPUs, but ROCR_VISIBLE_DEVICES shows 1",
            ),
            (request(1, Some(1)), [(CUDA, "")], "shows 0"),
        ] {
            let error = texts(request, &env).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn gpus_that_two_replicas_set_are_found() {
        let set = |word: &str| set_in(word);
        for (one, other, twice) in [
            ("CUDA_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=0", true),
            (
                "exec env HIP_VISIBLE_DEVICES='1,2' vllm",
                "HIP_VISIBLE_DEVICES=2 vllm",
                true,
            ),
            (
                "CUDA_VISIBLE_DEVICES=0,1",
                "CUDA_VISIBLE_DEVICES=2,3",
                false,
            ),
            ("CUDA_VISIBLE_DEVICES=", "CUDA_VISIBLE_DEVICES=", false),
            ("CUDA_VISIBLE_DEVICES=-1", "CUDA_VISIBLE_DEVICES=-1", false),
            ("--gpus=0", "--gpus=0", false),
        ] {
            let found = shared(&[set(one), set(other)]);
            assert_eq!(found.is_some(), twice, "{one} / {other}: {found:?}");
        }
    }
}
