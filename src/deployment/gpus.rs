//! Which GPUs each replica gets.

use super::DeploymentError;

/// The numbers of each replica's GPUs, with commas between them: the first `per_replica` for the first,
/// the next for the second, so that none is given twice. They are taken from `visible`, the harness's own
/// `CUDA_VISIBLE_DEVICES`, where it is set, else counted from 0.
pub(super) fn assign(
    deployment: &str,
    replicas: usize,
    per_replica: usize,
    visible: Option<&str>,
) -> Result<Vec<String>, DeploymentError> {
    let needed = replicas.saturating_mul(per_replica);
    let pool: Vec<String> = match visible.map(str::trim).filter(|ids| !ids.is_empty()) {
        None => (0..needed).map(|id| id.to_string()).collect(),
        Some(ids) => ids.split(',').map(|id| id.trim().to_owned()).collect(),
    };
    if pool.len() < needed {
        return Err(DeploymentError::TooFewGpus {
            deployment: deployment.to_owned(),
            needed,
            visible: pool.len(),
        });
    }
    let of = |replica: usize| pool[replica * per_replica..][..per_replica].join(",");
    Ok((0..replicas).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gpu_is_given_twice() {
        assert_eq!(assign("2x2", 2, 2, None).unwrap(), ["0,1", "2,3"]);
        let visible = Some("4,5, 6,GPU-a");
        assert_eq!(assign("2x2", 2, 2, visible).unwrap(), ["4,5", "6,GPU-a"]);
        assert_eq!(assign("cpu", 2, 0, Some("")).unwrap(), ["", ""]);
    }

    #[test]
    fn too_few_gpus_are_said() {
        let error = assign("4x2", 4, 2, Some("0,1,2,3"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("needs 8 GPUs"), "{error}");
        assert!(error.contains("shows 4"), "{error}");
    }
}
