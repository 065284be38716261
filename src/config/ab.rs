//! Two deployments to measure in turns: `SERVEMARK_AB`.

use super::deployment::{Deployment, name_fault};
use super::endpoint_url::EndpointUrl;
use super::error::Problem;
use super::reader::SettingsReader;

/// The variable that names two deployments to measure in turns.
const AB_VARIABLE: &str = "SERVEMARK_AB";

/// Reads `SERVEMARK_AB`. A problem is reported.
pub(super) fn read(reader: &mut SettingsReader<'_>) -> Option<[Deployment; 2]> {
    let text = reader.env(AB_VARIABLE)?;
    let problem = |found: String| {
        Problem::of_variable(
            AB_VARIABLE,
            found,
            "two names, each with the address of its server; a name again with another address for each further replica",
            format!("For example: {AB_VARIABLE}=old=http://a:8000,new=http://b:8000"),
        )
    };
    parse(&text)
        .map_err(|found| reader.report(problem(found)))
        .ok()
}

/// Parses two deployments; the error describes what was found instead.
fn parse(text: &str) -> Result<[Deployment; 2], String> {
    let mut sides: Vec<(String, Vec<EndpointUrl>)> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let (name, url) = entry
            .split_once('=')
            .map(|(name, url)| (name.trim(), url.trim()))
            .ok_or_else(|| format!("{entry:?}, which is not name=address"))?;
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
    fn two_names_with_their_replicas_are_parsed() {
        let sides = parse("old=http://a:1, new=http://b:2/v1,new=http://c:3").expect("valid");
        let shown = sides.map(|side| (side.name.clone(), side.endpoints().len()));
        assert_eq!(shown, [("old".to_owned(), 1), ("new".to_owned(), 2)]);
    }

    #[test]
    fn problems_are_described() {
        for (text, words) in [
            ("old=http://a", "1 name(s)"),
            ("a=http://a,b=http://b,c=http://c", "3 name(s)"),
            ("http://a,http://b", "not name=address"),
            ("../x=http://a,b=http://b", "cannot name a file"),
            ("a=ftp://a,b=http://b", "for a: "),
        ] {
            let found = parse(text).expect_err(text);
            assert!(found.contains(words), "{text}: {found}");
        }
    }
}
