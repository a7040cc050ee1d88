//! What an attempt's outcome means: done, try again later, or give up.

use loopd_types::{DAY_US, HOUR_US, MINUTE_US, Rng, SECOND_US, Timestamp};

use crate::egress::{Answer, Unanswered};

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Succeeded,
    /// Again, not before this moment.
    Retry(Timestamp),
    /// Not again by itself: the answer was final, or the attempts are used up.
    Failed,
    /// 410: the receiver is gone for good; the endpoint is switched off.
    Gone,
}

/// The pauses between attempts: eleven attempts over a day, so that a receiver may be down for a night.
const PAUSES: [i64; 10] = [
    5 * SECOND_US,
    30 * SECOND_US,
    2 * MINUTE_US,
    10 * MINUTE_US,
    30 * MINUTE_US,
    HOUR_US,
    2 * HOUR_US,
    4 * HOUR_US,
    8 * HOUR_US,
    8 * HOUR_US,
];

/// The longest `Retry-After` that is honoured: a receiver may slow us down, and not park us for ever.
const RETRY_AFTER_MOST: i64 = HOUR_US;

/// Judges an attempt, the `tries`th since the delivery was made or replayed (from 1).
///
/// 2xx is success. No answer, 408, 429 and 5xx are tried again; every other status is the receiver's last word: sending the same bytes
/// again would be refused again (spec/loop.md 5.12). A replay by hand remains possible.
pub fn judge(answer: Result<&Answer, &Unanswered>, tries: i64, now: Timestamp, rng: &dyn Rng) -> Verdict {
    let (status, retry_after) = match answer {
        Ok(answer) => (answer.status, answer.header("retry-after").and_then(|text| retry_after(text, now))),
        Err(_) => (0, None),
    };
    match status {
        200..=299 => return Verdict::Succeeded,
        410 => return Verdict::Gone,
        0 | 408 | 429 | 500.. => {}
        _ => return Verdict::Failed,
    }
    let Some(pause) = usize::try_from(tries - 1).ok().and_then(|index| PAUSES.get(index)) else {
        return Verdict::Failed;
    };
    let pause = jittered(*pause, rng);
    let asked = if matches!(status, 429 | 503) { retry_after.unwrap_or(0).min(RETRY_AFTER_MOST) } else { 0 };
    Verdict::Retry(now.plus(pause.max(asked)))
}

/// Between 90 % and 130 % of the pause: receivers that came back together are not all called together.
fn jittered(pause: i64, rng: &dyn Rng) -> i64 {
    let mut bytes = [0; 4];
    rng.fill(&mut bytes);
    let share = i64::from(u32::from_le_bytes(bytes)) * 40 / i64::from(u32::MAX);
    pause / 100 * (90 + share)
}

/// `Retry-After` in microseconds from now: seconds, or an HTTP date (RFC 9110, 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds) * SECOND_US);
    }
    let moment = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_microsecond();
    Some((moment - now.0).clamp(0, 365 * DAY_US))
}

#[cfg(test)]
mod tests {
    use loopd_types::SeededRng;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn answer(status: u16, retry_after: Option<&str>) -> Answer {
        let headers = retry_after.map(|text| ("retry-after".to_owned(), text.to_owned())).into_iter().collect();
        Answer { status, headers, body: Vec::new(), is_cut: false, address: None }
    }

    fn judged(status: u16, retry_after: Option<&str>, tries: i64) -> Verdict {
        judge(Ok(&answer(status, retry_after)), tries, NOW, &SeededRng::new(tries as u64))
    }

    fn pause(verdict: Verdict) -> i64 {
        match verdict {
            Verdict::Retry(at) => at.0 - NOW.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status, None, 1), Verdict::Succeeded, "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(judged(status, None, 1), Verdict::Retry(_)), "{status}");
        }
        for status in [100, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 409, 422, 451] {
            assert_eq!(judged(status, None, 1), Verdict::Failed, "{status}");
        }
        assert_eq!(judged(410, None, 1), Verdict::Gone);
        let lost = judge(Err(&Unanswered::Lost("x".into())), 1, NOW, &SeededRng::new(1));
        assert!(matches!(lost, Verdict::Retry(_)));
    }

    #[test]
    fn pauses_grow_over_a_day_and_then_it_is_given_up() {
        let (mut sum, mut before) = (0, 0);
        for tries in 1..=10 {
            let pause = pause(judged(500, None, tries));
            assert!(pause >= before * 9 / 13, "attempt {tries} comes after {pause}, the one before after {before}");
            (sum, before) = (sum + pause, pause);
        }
        assert!((20 * HOUR_US..32 * HOUR_US).contains(&sum), "{} hours", sum / HOUR_US);
        assert_eq!(judged(500, None, 11), Verdict::Failed);
        assert_eq!(judged(500, None, 1_000), Verdict::Failed);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_within_bounds() {
        assert_eq!(pause(judged(429, Some("120"), 1)), 120 * SECOND_US);
        assert_eq!(pause(judged(503, Some(" 60 "), 1)), 60 * SECOND_US);
        assert_eq!(pause(judged(429, Some("99999999"), 1)), HOUR_US, "not for ever");
        assert!(pause(judged(429, Some("0"), 1)) >= 4 * SECOND_US, "and not sooner than we would");
        assert!(pause(judged(500, Some("3600"), 1)) < 10 * SECOND_US, "500 asks for nothing");
        // NOW is Fri, 15 Jan 2027 08:00:00 GMT
        assert_eq!(pause(judged(429, Some("Fri, 15 Jan 2027 08:10:00 GMT"), 1)), 10 * MINUTE_US);
        assert!(pause(judged(429, Some("Fri, 15 Jan 2027 07:00:00 GMT"), 1)) < 10 * SECOND_US);
        for nonsense in ["", "soon", "-5", "1e9", "99999999999999999999"] {
            assert!(pause(judged(429, Some(nonsense), 1)) < 10 * SECOND_US, "{nonsense}");
        }
    }
}
