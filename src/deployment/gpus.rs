//! Which GPUs each replica gets: none is given to two of them unless the entry says so itself.

use super::DeploymentError;

/// Variables by which a process is given GPUs: NVIDIA's, which AMD's HIP reads too; HIP's own; and the one of
/// AMD's layer below, behind which the others count anew.
const CUDA: &str = "CUDA_VISIBLE_DEVICES";
const HIP: &str = "HIP_VISIBLE_DEVICES";
const ROCR: &str = "ROCR_VISIBLE_DEVICES";

/// What an entry may set to choose GPUs itself: the above, and what container runtimes read.
pub(super) const VARIABLES: [&str; 4] = [CUDA, HIP, ROCR, "NVIDIA_VISIBLE_DEVICES"];

/// A deployment that is about to be given GPUs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub deployment: &'a str,
    pub replicas: usize,
    /// GPUs of each replica, where the entry says.
    pub per_replica: Option<usize>,
    /// Whether the entry chooses GPUs itself.
    pub by_itself: bool,
    /// Whether it wants to be told numbers.
    pub wants_numbers: bool,
}

/// The GPUs of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Their numbers, with commas between them.
    pub numbers: String,
    /// Variables that it is started with.
    pub variables: Vec<(&'static str, String)>,
}

/// The GPUs of each replica: the first for the first replica, the next for the second. They are taken from
/// the harness's own variables where `env` has them, else counted from 0. Several replicas without a number
/// of GPUs get one each.
pub(super) fn assign(
    request: Request<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Given>, DeploymentError> {
    let per_replica = match request.per_replica {
        Some(count) => count,
        // One replica takes what there is.
        None if request.replicas == 1 => 0,
        None => 1,
    };
    if per_replica == 0 || (request.by_itself && !request.wants_numbers) {
        return Ok(vec![Given::default(); request.replicas]);
    }
    let pools = pools(env);
    if pools.iter().all(|pool| pool.is_hidden()) && request.per_replica.is_none() {
        // No GPU is visible, so none can be shared.
        return Ok(vec![Given::default(); request.replicas]);
    }
    let mut given = vec![Given::default(); request.replicas];
    for (at, pool) in pools.iter().enumerate() {
        for (replica, given) in given.iter_mut().enumerate() {
            let numbers = pool.part(request, replica, per_replica)?;
            if !request.by_itself {
                given.variables.push((pool.variable, numbers.clone()));
            }
            if at == 0 {
                given.numbers = numbers;
            }
        }
    }
    Ok(given)
}

/// The GPUs that a variable can name.
struct Pool {
    variable: &'static str,
    /// Which variable limits them, and to what.
    limit: Option<(&'static str, Vec<String>)>,
}

/// `CUDA_VISIBLE_DEVICES` is set for every replica, HIP's where the harness has it: a value that all
/// replicas inherit would have them share.
fn pools(env: &dyn Fn(&str) -> Option<String>) -> Vec<Pool> {
    let listed = |variable| Some((variable, devices(&env(variable)?)));
    let (cuda, hip) = (listed(CUDA), listed(HIP));
    let behind = listed(ROCR).map(|(variable, devices)| {
        let numbers = (0..devices.len()).map(|number| number.to_string());
        (variable, numbers.collect())
    });
    let hip_pool = hip.clone().map(|limit| Pool {
        variable: HIP,
        limit: Some(limit),
    });
    let cuda_pool = Pool {
        variable: CUDA,
        limit: cuda.or(hip).or(behind),
    };
    std::iter::once(cuda_pool).chain(hip_pool).collect()
}

impl Pool {
    fn is_hidden(&self) -> bool {
        matches!(&self.limit, Some((_, devices)) if devices.is_empty())
    }

    fn part(
        &self,
        request: Request<'_>,
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

/// The devices that a variable's value names. A negative number hides itself and all after it, as CUDA has it.
fn devices(value: &str) -> Vec<String> {
    let devices = value.split(',').map(str::trim);
    let shown = devices.take_while(|device| !device.starts_with('-'));
    let named = shown.filter(|device| !device.is_empty());
    named.map(str::to_owned).collect()
}

/// Of what the replicas set themselves, each as `(variable, value)`: which two get a device twice, in words.
pub(super) fn shared(replicas: &[Vec<(String, String)>]) -> Option<String> {
    for (at, one) in replicas.iter().enumerate() {
        for (other_at, other) in replicas.iter().enumerate().skip(at + 1) {
            for (variable, value) in one {
                let same = other.iter().filter(|(name, _)| name == variable);
                let theirs: Vec<String> = same.flat_map(|(_, value)| devices(value)).collect();
                let twice = devices(value).into_iter().filter(|d| theirs.contains(d));
                let twice = Vec::from_iter(twice).join(",");
                if !twice.is_empty() {
                    return Some(format!(
                        "replicas {at} and {other_at} are given the same GPUs by {variable} ({twice})"
                    ));
                }
            }
        }
    }
    None
}

/// The values that a word of a command sets such variables to: `env CUDA_VISIBLE_DEVICES=0 vllm …`, or a
/// shell's line that holds that.
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

    fn request(replicas: usize, per_replica: Option<usize>) -> Request<'static> {
        Request {
            deployment: "x",
            replicas,
            per_replica,
            by_itself: false,
            wants_numbers: false,
        }
    }

    /// Numbers and variables of each replica, as one text.
    fn assigned(request: Request<'_>, env: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let read = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let given = assign(request, &read).map_err(|error| error.to_string())?;
        let text = |given: &Given| {
            let variables = given.variables.iter();
            let variables = variables.map(|(name, value)| format!(" {name}={value}"));
            given.numbers.clone() + &variables.collect::<String>()
        };
        Ok(given.iter().map(text).collect())
    }

    #[test]
    fn no_gpu_is_given_twice() {
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
            // What the replicas would inherit is divided, too.
            (
                request(2, None),
                &[(HIP, "3,4")],
                [
                    "3 CUDA_VISIBLE_DEVICES=3 HIP_VISIBLE_DEVICES=3",
                    "4 CUDA_VISIBLE_DEVICES=4 HIP_VISIBLE_DEVICES=4",
                ],
            ),
            // Behind ROCR's list devices count from 0.
            (
                request(2, None),
                &[(ROCR, "6,7")],
                ["0 CUDA_VISIBLE_DEVICES=0", "1 CUDA_VISIBLE_DEVICES=1"],
            ),
            // Hidden GPUs cannot be shared.
            (request(2, None), &[(CUDA, "")], ["", ""]),
            (request(2, None), &[(CUDA, "-1")], ["", ""]),
        ] {
            assert_eq!(assigned(request, env).unwrap(), expected, "{env:?}");
        }
        assert_eq!(assigned(request(1, None), &[]).unwrap(), [""]);
    }

    #[test]
    fn an_entry_that_chooses_itself_is_left_alone() {
        let by_itself = Request {
            by_itself: true,
            ..request(2, Some(1))
        };
        assert_eq!(assigned(by_itself, &[(CUDA, "0")]).unwrap(), ["", ""]);
        let told = Request {
            wants_numbers: true,
            ..by_itself
        };
        assert_eq!(assigned(told, &[]).unwrap(), ["0", "1"]);
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
            let error = assigned(request, &env).unwrap_err();
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
