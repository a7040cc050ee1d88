//! What is taken and what is refused, by name.

use loopd_kernel::mail;

use super::{Refused, Settings};

fn load(pairs: &[(&str, &str)]) -> Result<Settings, Refused> {
    let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Settings::load(None, &environment)
}

#[test]
fn the_defaults_are_good_for_a_laptop() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(settings.database_url.expose(), "sqlite://./data/loop.db");
    assert!(settings.rate_limits);
}

#[test]
fn the_version_of_whatsapp_web_is_three_numbers_or_whatsapps_own() {
    assert_eq!(load(&[]).unwrap().wave.web_version, None);
    let settings = load(&[("LOOP_WHATSAPP_WEB_VERSION", "2.3000.1023456789")]).unwrap();
    assert_eq!(settings.wave.web_version, Some((2, 3000, 1_023_456_789)));
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    for (name, value, words) in [
        ("LOOP_LISTEN", "8000", "no address"),
        ("LOOP_ENVIRONMENT", "staging", "neither"),
        ("LOOP_DATABASE_URL", "mysql://x", "must begin"),
        ("LOOP_SECRET_KEY", "short", "too short"),
        ("LOOP_RATE_LIMITS", "maybe", "neither on nor off"),
        ("LOOP_TRUSTED_PROXIES", "10.0.0.0/99", "10.0.0.0/99"),
        ("LOOP_REQUEST_TIMEOUT", "0", "between"),
        ("LOOP_BASE_URL", "example.com", "does not begin"),
        ("LOOP_IDLE_TIMEOUT", "0", "between"),
        ("LOOP_ACME_DOMAINS", "*.example.com", "wildcards"),
        ("LOOP_REDIRECT_LISTEN", "0.0.0.0:80", "no TLS"),
        ("LOOP_SHUTDOWN_DELAY", "301", "between"),
        ("LOOP_TRACE_SAMPLE", "1.5", "between"),
        ("LOOP_TRACE_SAMPLE", "half", "no number"),
        ("LOOP_OTLP_ENDPOINT", "collector:4318", "must begin"),
        ("LOOP_AUDIT_RETENTION_DAYS", "0", "between"),
        ("LOOP_SETTLEMENT", "bank", "none of"),
        ("LOOP_WHATSAPP_ENGINES", "pigeon", "none of"),
        ("LOOP_WHATSAPP_WEB_VERSION", "2.3000", "three numbers"),
        ("LOOP_WHATSAPP_WEB_VERSION", "2.3000.x", "three numbers"),
        ("LOOP_EVM_RPC_URL", "base=ws://node", "number 1"),
        ("LOOP_EVM_PRIVATE_KEY", "00", "number 1"),
        ("LOOP_EVM_FACTORIES", "0x4e59b44847b379578588920cA78FbF26c0B4956", "no address"),
        ("LOOP_EVM_FACTORIES", "0x4E59b44847b379578588920cA78FbF26c0B4956C", "checksum"),
        ("LOOP_FACILITATOR_URL", "facilitator.example.com", "must begin"),
        ("LOOP_SANDBOX_GRANT", "-1", "between"),
        ("LOOP_EVM_CONFIRMATIONS", "0", "between"),
        ("LOOP_EVM_MAX_FEE", "0", "between"),
        ("LOOP_LISTNE", "x", "no setting"),
    ] {
        let refused = load(&[(name, value)]).unwrap_err();
        assert_eq!(refused.name, name);
        assert!(refused.reason.contains(words), "{name}: {}", refused.reason);
    }
    let half = load(&[("LOOP_INTERNAL_API_KEY", "a-key-of-more-than-24-characters")]).unwrap_err();
    assert_eq!(half.name, "LOOP_INTERNAL_API_USER_EMAIL");
    assert_eq!(load(&[("LOOP_TLS_CERT", "cert.pem")]).unwrap_err().name, "LOOP_TLS_KEY");
    let both = [("LOOP_TLS_CERT", "c"), ("LOOP_TLS_KEY", "k"), ("LOOP_ACME_DOMAINS", "a.example.com")];
    assert_eq!(load(&both).unwrap_err().name, "LOOP_ACME_DOMAINS");
}

#[test]
fn an_engine_of_settlement_has_what_it_needs() {
    use loopd_pay::settings::Mode;

    let key = "11".repeat(32);
    let mode = |pairs: &[(&str, &str)]| load(pairs).map(|settings| settings.pay.mode).map_err(|refused| refused.name);
    let refused = |name: &str| Err(name.to_owned());
    let (rpc, node) = (("LOOP_SETTLEMENT", "rpc"), ("LOOP_EVM_RPC_URL", "https://node.example.com"));
    assert_eq!(mode(&[]), Ok(Mode::Sandbox));
    assert_eq!(mode(&[rpc]), refused("LOOP_EVM_RPC_URL"));
    assert_eq!(mode(&[rpc, node]), refused("LOOP_EVM_PRIVATE_KEY"));
    assert_eq!(mode(&[rpc, node, ("LOOP_EVM_PRIVATE_KEY", &key)]), Ok(Mode::Rpc));
    assert_eq!(mode(&[("LOOP_SETTLEMENT", "facilitator")]), refused("LOOP_FACILITATOR_URL"));
    let outside = [("LOOP_SETTLEMENT", "facilitator"), ("LOOP_FACILITATOR_URL", "https://facilitator.example.com/")];
    assert_eq!(mode(&outside), refused("LOOP_EVM_RPC_URL"));
    assert_eq!(mode(&[&outside[..], &[node]].concat()), Ok(Mode::Facilitator));
    let twice = ("LOOP_EVM_RPC_URL", "https://one.example.com,8453=https://two.example.com");
    assert_eq!(mode(&[twice]), refused("LOOP_EVM_RPC_URL"));
    let production = [
        ("LOOP_ENVIRONMENT", "production"),
        ("LOOP_SECRET_KEY", "0123456789012345678901234567890123456789"),
        ("LOOP_BASE_URL", "https://example.com"),
    ];
    let (sandbox, named) = (("LOOP_SETTLEMENT", "sandbox"), ("LOOP_ALLOW_SANDBOXES", "settlement"));
    assert_eq!(mode(&production), Ok(Mode::Off));
    assert_eq!(mode(&[&production[..], &[sandbox]].concat()), refused("LOOP_SETTLEMENT"));
    assert_eq!(mode(&[&production[..], &[sandbox, named]].concat()), Ok(Mode::Sandbox));
    assert_eq!(mode(&[&production[..], &[named]].concat()), Ok(Mode::Sandbox));
}

#[test]
fn a_mail_server_is_one_that_can_be_used() {
    let key = ("LOOP_SECRET_KEY", "0123456789012345678901234567890123456789");
    let from = ("LOOP_MAIL_FROM", "LOOP <no-reply@example.com>");
    assert_eq!(load(&[]).unwrap().mail(), mail::Delivery::Sandbox);
    assert_eq!(load(&[("LOOP_SMTP_URL", "smtp://localhost:2525"), from]).unwrap().mail(), mail::Delivery::Smtp);
    assert_eq!(load(&[("LOOP_SMTP_URL", "smtp://localhost")]).unwrap_err().name, "LOOP_MAIL_FROM");
    assert_eq!(load(&[from]).unwrap_err().name, "LOOP_SMTP_URL");
    assert_eq!(load(&[("LOOP_SMTP_URL", "http://localhost"), from]).unwrap_err().name, "LOOP_SMTP_URL");
    let nobody = ("LOOP_MAIL_FROM", "nobody\r\nBcc: all@example.com");
    assert_eq!(load(&[("LOOP_SMTP_URL", "smtp://localhost"), nobody]).unwrap_err().name, "LOOP_MAIL_FROM");
    let production = |url, base: &str| {
        let base = base.to_owned();
        load(&[("LOOP_ENVIRONMENT", "production"), key, from, ("LOOP_SMTP_URL", url), ("LOOP_BASE_URL", &base)])
    };
    let (open, safe) = ("smtp://user:hush@mail.example.com:587", "smtp://user:hush@mail.example.com:587?tls=required");
    let refused = production(open, "https://loop.example").unwrap_err();
    assert!(refused.name == "LOOP_SMTP_URL" && !refused.reason.contains("hush"), "{refused}");
    assert_eq!(production(safe, "").unwrap_err().name, "LOOP_BASE_URL");
    for good in [safe, "smtps://user:hush@mail.example.com", "smtp://localhost:25"] {
        assert!(production(good, "https://loop.example").is_ok(), "{good}");
    }
}

#[test]
fn production_refuses_what_is_only_safe_on_a_laptop() {
    let key = "0123456789012345678901234567890123456789";
    assert_eq!(load(&[("LOOP_ENVIRONMENT", "production")]).unwrap_err().name, "LOOP_SECRET_KEY");
    let open = load(&[("LOOP_ENVIRONMENT", "production"), ("LOOP_SECRET_KEY", key), ("LOOP_RATE_LIMITS", "off")]);
    assert_eq!(open.unwrap_err().name, "LOOP_RATE_LIMITS");
    let production = [("LOOP_ENVIRONMENT", "production"), ("LOOP_SECRET_KEY", key)];
    assert!(!load(&production).unwrap().allows_sandbox("mobile-money"));
    let named = [production.as_slice(), &[("LOOP_ALLOW_SANDBOXES", "mobile-money")]].concat();
    assert!(load(&named).unwrap().allows_sandbox("mobile-money"));
    assert_eq!(load(&production).unwrap().mail(), mail::Delivery::Off, "a sandbox that was not named");
    let named = [production.as_slice(), &[("LOOP_ALLOW_SANDBOXES", "mail")]].concat();
    assert_eq!(load(&named).unwrap().mail(), mail::Delivery::Sandbox);
    let unknown = [production.as_slice(), &[("LOOP_ALLOW_SANDBOXES", "money")]].concat();
    assert_eq!(load(&unknown).unwrap_err().name, "LOOP_ALLOW_SANDBOXES");
    assert!(load(&[]).unwrap().allows_sandbox("mobile-money"));
}

#[test]
fn webhooks_may_be_led_into_the_own_network_by_name_and_to_this_machine_in_development_only() {
    assert_eq!(
        load(&[("LOOP_EGRESS_ALLOW", "localhost, Inside.example., ::1")]).unwrap().egress_allow,
        ["localhost", "inside.example", "::1"]
    );
    let production =
        [("LOOP_ENVIRONMENT", "production"), ("LOOP_SECRET_KEY", "0123456789012345678901234567890123456789")];
    let named = |hosts| load(&[production.as_slice(), &[("LOOP_EGRESS_ALLOW", hosts)]].concat());
    assert!(named("receiver.internal,10.0.0.7").is_ok());
    for loopback in ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(named(loopback).unwrap_err().name, "LOOP_EGRESS_ALLOW", "{loopback}");
    }
    for nonsense in ["http://localhost", "localhost:80", "*.internal", "a@b"] {
        assert_eq!(load(&[("LOOP_EGRESS_ALLOW", nonsense)]).unwrap_err().name, "LOOP_EGRESS_ALLOW", "{nonsense}");
    }
}
