//! Rules of what egress may reach beyond public HTTPS, as they are written in the configuration.

use std::str::FromStr;

use ipnet::IpNet;
use toml::Value;

use super::value::{ENTRIES_MAX, Kind, Switch, wrong};

/// Rules of what egress may reach.
pub enum Rules {}

/// One thing that egress may reach beyond public HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRule {
    /// What.
    pub what: AllowWhat,
    /// Whether by plain HTTP too.
    pub http: bool,
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowWhat {
    /// The addresses of a network.
    Network(IpNet),
    /// Whatever this name resolves to.
    Host(String),
}

impl Kind<Vec<AllowRule>> for Rules {
    const FORM: &'static str =
        r#"list such as [{ cidr = "10.0.0.0/8", http = true }, { host = "n8n.internal" }]"#;
    fn parse(value: &Value) -> Result<Vec<AllowRule>, String> {
        let rules = match value {
            Value::Array(rules) => rules.clone(),
            Value::String(text) => match Value::from_str(text) {
                Ok(Value::Array(rules)) => rules,
                _ => return Err(wrong(value, Self::FORM)),
            },
            value => return Err(wrong(value, Self::FORM)),
        };
        if rules.len() > ENTRIES_MAX {
            return Err(format!("has more than {ENTRIES_MAX} entries"));
        }
        let numbered = rules.iter().enumerate();
        numbered
            .map(|(i, rule)| rule_from(rule).map_err(|fault| format!("entry {i}: {fault}")))
            .collect()
    }
    fn show(value: &Vec<AllowRule>) -> String {
        let show = |rule: &AllowRule| {
            let what = match &rule.what {
                AllowWhat::Network(network) => format!("cidr = \"{network}\""),
                AllowWhat::Host(host) => format!("host = \"{host}\""),
            };
            if rule.http {
                format!("{{ {what}, http = true }}")
            } else {
                format!("{{ {what} }}")
            }
        };
        format!("[{}]", value.iter().map(show).collect::<Vec<_>>().join(", "))
    }
}

fn rule_from(value: &Value) -> Result<AllowRule, String> {
    let table = value
        .as_table()
        .ok_or("is not a table such as { cidr = \"10.0.0.0/8\" }")?;
    if let Some(unknown) = table
        .keys()
        .find(|key| !matches!(key.as_str(), "cidr" | "host" | "http"))
    {
        return Err(format!(
            "has the unknown key {unknown}; there are cidr, host and http"
        ));
    }
    let what = match (table.get("cidr"), table.get("host")) {
        (Some(cidr), None) => AllowWhat::Network(network_from(cidr)?),
        (None, Some(host)) => AllowWhat::Host(name_from(host)?),
        _ => return Err("needs either cidr or host".to_owned()),
    };
    let http = table
        .get("http")
        .map_or(Ok(false), Switch::parse)
        .map_err(|fault| format!("http {fault}"))?;
    Ok(AllowRule { what, http })
}

fn network_from(value: &Value) -> Result<IpNet, String> {
    let text = value.as_str().unwrap_or_default();
    crate::network::parse(text).ok_or("cidr must be a network such as 10.0.0.0/8".to_owned())
}

/// A host name in the spelling that URLs have: lower case, punycode.
fn name_from(value: &Value) -> Result<String, String> {
    match url::Host::parse(value.as_str().unwrap_or_default()) {
        Ok(url::Host::Domain(name)) if !name.contains('*') => Ok(name),
        _ => Err("host must be a name such as n8n.internal, without scheme, port or `*`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn rules_are_read_from_file_and_text() {
        let given = text(r#"[{ cidr = "10.0.0.0/8", http = true }, { host = "N8N.internal" }]"#);
        let rules = Rules::parse(&given).unwrap();
        assert_eq!(
            rules[1],
            AllowRule {
                what: AllowWhat::Host("n8n.internal".into()),
                http: false
            }
        );
        assert_eq!(Rules::parse(&text(&Rules::show(&rules))).unwrap(), rules);
        for bad in [
            "10.0.0.0/8",
            "[1]",
            "[{}]",
            "[{cidr=\"x\"}]",
            "[{host=\"a\",cidr=\"::/0\"}]",
            "[{host=\"a b\"}]",
            "[{host=\"*.lan\"}]",
            "[{host=\"10.0.0.1\"}]",
            "[{host=5}]",
        ] {
            assert!(Rules::parse(&text(bad)).is_err(), "{bad}");
        }
        assert!(
            Rules::parse(&text("[{host=\"a\", htp=true}]"))
                .unwrap_err()
                .contains("htp")
        );
    }
}
