//! Settings about networks: who is trusted, and where the router is.

use ipnet::IpNet;
use toml::Value;
use url::Url;

use super::value::{ENTRIES_MAX, Kind, wrong};
use crate::network;

/// Networks; single addresses are networks of one.
pub enum Networks {}
/// Where something is on the web: scheme, host, port and path.
pub enum WebAddress {}

impl Kind<Vec<IpNet>> for Networks {
    const FORM: &'static str = "list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7";
    fn parse(value: &Value) -> Result<Vec<IpNet>, String> {
        let network = |text: &str| network::parse(text.trim()).ok_or_else(|| wrong(value, Self::FORM));
        let networks: Vec<IpNet> = match value {
            Value::String(text) if text.trim().is_empty() => Vec::new(),
            Value::String(text) => text.split(',').map(network).collect::<Result<_, _>>()?,
            Value::Array(parts) => {
                let texts = parts.iter().map(|part| part.as_str().unwrap_or_default());
                texts.map(network).collect::<Result<_, _>>()?
            }
            _ => return Err(wrong(value, Self::FORM)),
        };
        if networks.len() > ENTRIES_MAX {
            return Err(format!("has more than {ENTRIES_MAX} entries"));
        }
        Ok(networks)
    }
    fn show(value: &Vec<IpNet>) -> String {
        value.iter().map(IpNet::to_string).collect::<Vec<_>>().join(",")
    }
}

impl Kind<String> for WebAddress {
    const FORM: &'static str = "address such as https://hooks.example.com";
    fn parse(value: &Value) -> Result<String, String> {
        let url = value.as_str().and_then(|text| Url::parse(text.trim()).ok());
        let plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        let url = url.filter(plain).ok_or_else(|| wrong(value, Self::FORM))?;
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn networks_are_networks_or_addresses() {
        let read = |given: &str| {
            let read = Networks::parse(&text(given));
            read.map(|networks| Networks::show(&networks)).ok()
        };
        assert_eq!(read("").as_deref(), Some(""));
        let shown = read("10.0.0.0/8, 192.0.2.7,::1");
        assert_eq!(shown.as_deref(), Some("10.0.0.0/8,192.0.2.7/32,::1/128"));
        for bad in ["x", "10.0.0.0/33", "10.0.0.0/8,,"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert!(Networks::parse(&Value::Array(vec![Value::Integer(5)])).is_err());
    }

    #[test]
    fn a_web_address_has_nothing_behind_its_path() {
        let read = |given: &str| WebAddress::parse(&text(given)).ok();
        assert_eq!(
            read("https://hooks.example.com/").as_deref(),
            Some("https://hooks.example.com")
        );
        assert_eq!(
            read("http://10.0.0.1:8080/in/").as_deref(),
            Some("http://10.0.0.1:8080/in")
        );
        for bad in [
            "hooks.example.com",
            "ftp://a",
            "https://u:p@a",
            "https://a?x",
            "https://a#x",
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
