use loopd_types::{DAY_US, SeededRng, Timestamp};

use super::*;

const NOW: Timestamp = Timestamp(1_795_000_000_000_000);

fn signer() -> Signer {
    Signer::generate(&SeededRng::new(1))
}

fn terms(days: i64) -> Terms {
    Terms {
        lid: "L-1".into(),
        tid: "kigali-salon".into(),
        plan: "team".into(),
        addons: vec!["broadcasts".into()],
        iat: NOW.seconds(),
        exp: NOW.seconds() + days * 86_400,
        fpr: None,
        dom: None,
    }
}

fn judge() -> Judge {
    Judge {
        verifier: Some(signer().verifier()),
        grace_days: 7,
        host: Some("inbox.example.com".into()),
        fingerprint: Some("f1".into()),
    }
}

fn state_after(days: i64) -> State {
    let token = signer().issue(&terms(30));
    judge().status(Some(&token), &Revocations::default(), Timestamp(NOW.0 + days * DAY_US)).state
}

#[test]
fn a_licence_lives_has_grace_and_ends() {
    assert_eq!(state_after(0), State::Active);
    assert_eq!(state_after(29), State::Active);
    assert_eq!(state_after(30), State::Grace);
    assert_eq!(state_after(33), State::Grace);
    assert_eq!(state_after(37), State::Expired);
    assert_eq!(judge().status(None, &Revocations::default(), NOW).state, State::Unlicensed);
    let locked = [State::Expired, State::Revoked, State::Invalid, State::Unlicensed];
    assert!(locked.iter().all(|state| state.locks()) && !State::Active.locks() && !State::Grace.locks());
}

#[test]
fn what_the_vendor_did_not_sign_is_invalid() {
    let token = signer().issue(&terms(30));
    assert_eq!(judge().verifier.unwrap().read(&format!(" {token}\n")).unwrap(), terms(30));
    let other = Signer::generate(&SeededRng::new(2)).issue(&terms(30));
    let said = |token: &str| judge().status(Some(token), &Revocations::default(), NOW).reason;
    assert_eq!(said(&other), Some("bad_signature"));
    // every single character matters
    for (at, letter) in token.char_indices().filter(|(_, letter)| *letter != '.') {
        let mut changed = token.clone();
        changed.replace_range(at..=at, if letter == 'A' { "B" } else { "A" });
        assert!(said(&changed).is_some(), "{changed}");
    }
    for bad in ["", "LW1", "LW1.", "LW1..", "LW2.e30.AAAA", "LW1.e30", &token.replace("LW1", "LWR1")] {
        assert_eq!(said(bad), Some("bad_format"), "{bad}");
    }
}

#[test]
fn a_bound_licence_is_good_on_its_host_only() {
    let bound = Terms { dom: Some("Inbox.Example.com".into()), ..terms(30) };
    let token = signer().issue(&bound);
    let on = |host: Option<&str>| {
        let judge = Judge { host: host.map(str::to_owned), ..judge() };
        judge.status(Some(&token), &Revocations::default(), NOW)
    };
    assert_eq!(on(Some("inbox.example.com:8443")).state, State::Active);
    assert_eq!(on(Some("inbox.example.com.")).state, State::Active);
    assert_eq!(on(None).state, State::Active);
    let elsewhere = on(Some("inbox.example.com.evil.net"));
    assert_eq!((elsewhere.state, elsewhere.reason), (State::Invalid, Some("domain_mismatch")));
}

#[test]
fn a_revocation_is_signed_and_sticks() {
    let (signer, verifier) = (signer(), signer().verifier());
    let first = Revocations::default().revoke(&signer, "L-1", NOW);
    let known = Revocations::read(&verifier, &first).unwrap();
    let token = signer.issue(&terms(30));
    assert_eq!(judge().status(Some(&token), &known, NOW).state, State::Revoked);
    // a later list without it does not bring it back
    let later = Revocations::default().revoke(&signer, "L-9", Timestamp(NOW.0 + DAY_US));
    let both = known.and(Revocations::read(&verifier, &later).unwrap());
    assert!(both.holds("L-1") && both.holds("L-9"));
    let renewed = signer.issue(&Terms { lid: "L-2".into(), ..terms(30) });
    assert_eq!(judge().status(Some(&renewed), &both, NOW).state, State::Active);
    let forged = Revocations::default().revoke(&Signer::generate(&SeededRng::new(3)), "L-2", NOW);
    assert_eq!(Revocations::read(&verifier, &forged), Err(Invalid::Signature));
    assert_eq!(Revocations::read(&verifier, &token), Err(Invalid::Format));
}

#[test]
fn keys_are_read_as_they_were_written() {
    let signer = signer();
    let again = Signer::parse(&format!("{}\n", signer.to_text())).unwrap();
    assert_eq!(again.verifier(), signer.verifier());
    assert_eq!(Verifier::parse(&signer.verifier().to_text()), Some(signer.verifier()));
    assert!(Signer::parse("short").is_none() && Verifier::parse("short").is_none());
    // the neutral point would verify signatures of nobody
    let mut weak = [0; 32];
    weak[0] = 1;
    assert!(Verifier::parse(&BASE64_URL_SAFE_NO_PAD.encode(weak)).is_none());
}

#[test]
fn a_licence_for_another_installation_is_invalid_here() {
    for (bound, state, reason) in [
        (Some("f1"), State::Active, None),
        (Some("f2"), State::Invalid, Some("fingerprint_mismatch")),
        (None, State::Active, None),
    ] {
        let token = signer().issue(&Terms { fpr: bound.map(str::to_owned), ..terms(30) });
        let status = judge().status(Some(&token), &Revocations::default(), NOW);
        assert_eq!((status.state, status.reason), (state, reason), "{bound:?}");
    }
}
