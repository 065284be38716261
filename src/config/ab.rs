//! Two deployments to measure in turns: `SERVEMARK_AB`.

use super::deployment::name_fault;
use super::error::{Origin, Problem};
use super::reader::Reader;
use super::{Deployment, EndpointUrl};

/// The variable that names two deployments to measure in turns.
pub(super) const AB_VARIABLE: &str = "SERVEMARK_AB";

/// `SERVEMARK_AB`. The outer `None` is a fault, which is reported.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Option<[Deployment; 2]>> {
    let Some(text) = reader.env(AB_VARIABLE) else {
        return Some(None);
    };
    match parse(&text) {
        Ok(sides) => Some(Some(sides)),
        Err(found) => {
            reader.report(Problem {
                origin: Origin::Variable(AB_VARIABLE.to_owned()),
                key: AB_VARIABLE.to_owned(),
                found,
                expected:
                    "two names, each with the address of its server; a name again with another \
                           address for each further replica"
                        .to_owned(),
                mend: format!("For example: {AB_VARIABLE}=old=http://a:8000,new=http://b:8000"),
            });
            None
        }
    }
}

/// Two deployments, or what was found in place of them.
fn parse(text: &str) -> Result<[Deployment; 2], String> {
    let mut sides: Vec<(String, Vec<EndpointUrl>)> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let (name, url) = entry
            .split_once('=')
            .map(|(name, url)| (name.trim(), url.trim()))
            .ok_or_else(|| format!("{entry:?}, which is no name=address"))?;
        if let Some(fault) = name_fault(name) {
            return Err(fault);
        }
        let url = EndpointUrl::parse(url).map_err(|error| format!("for {name}: {error}"))?;
        match sides.iter_mut().find(|(known, _)| known == name) {
            Some((_, urls)) => urls.push(url),
            None => sides.push((name.to_owned(), vec![url])),
        }
    }
    let deployments = sides
        .into_iter()
        .map(|(name, urls)| Deployment::listed(name, urls));
    Vec::from_iter(deployments)
        .try_into()
        .map_err(|found: Vec<Deployment>| format!("{} name(s)", found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_with_their_replicas_are_read() {
        let sides = parse("old=http://a:1, new=http://b:2/v1,new=http://c:3").expect("valid");
        let shown = sides.map(|side| (side.name.clone(), side.endpoints().len()));
        assert_eq!(shown, [("old".to_owned(), 1), ("new".to_owned(), 2)]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("old=http://a", "1 name(s)"),
            ("a=http://a,b=http://b,c=http://c", "3 name(s)"),
            ("http://a,http://b", "no name=address"),
            ("../x=http://a,b=http://b", "cannot name a file"),
            ("a=ftp://a,b=http://b", "for a: "),
        ] {
            let found = parse(text).expect_err(text);
            assert!(found.contains(words), "{text}: {found}");
        }
    }
}
