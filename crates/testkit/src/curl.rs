//! The portal's examples, run as a newcomer runs them: pasted into a shell that has the real curl.

use std::process::Stdio;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::process::Command;

use crate::Answer;

/// The address that the portal of the original prints in its examples.
pub const PRINTED_BASE: &str = "https://loopbackend.duckdns.org";

/// Runs commands as printed, with the printed address replaced by the server under test.
pub struct Curl {
    base: String,
}

impl Curl {
    /// `base` is the server under test, `http://127.0.0.1:8000`.
    pub fn at(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// Pastes `command` into a shell and gives back what the server answered.
    ///
    /// Not a character but the address is changed: a function named `curl` stands before the program and adds the
    /// options that write status, headers and body where this test can read them.
    pub async fn paste(&self, command: &str) -> Answer {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (body, head) = (folder.path().join("body"), folder.path().join("head"));
        let script = format!(
            "curl() {{ command curl --silent --show-error --max-time 30 --output \"$BODY\" --dump-header \"$HEAD\" --write-out '%{{http_code}}' \"$@\"; }}\n{}\n",
            command.replace(PRINTED_BASE, &self.base)
        );
        let run = Command::new("sh")
            .args(["-c", &script])
            .env("BODY", &body)
            .env("HEAD", &head)
            // A proxy or a .curlrc of the developer's is not part of the example.
            .env("HOME", folder.path())
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .output()
            .await
            .expect("sh is there");
        let (printed, complaints) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "curl failed ({}): {complaints}\n{command}", run.status);
        let status =
            printed.trim().parse().unwrap_or_else(|_| panic!("curl printed {printed:?} for a status\n{command}"));
        let read = |path| std::fs::read(path).unwrap_or_default();
        Answer {
            what: command.to_owned(),
            status,
            headers: headers_in(&String::from_utf8_lossy(&read(head))),
            body: read(body).into(),
        }
    }

    /// The command with a token in its empty `Bearer `: what the reader of the portal does after signing in.
    pub fn with_token(command: &str, token: &str) -> String {
        command.replace("Authorization: Bearer \"", &format!("Authorization: Bearer {token}\""))
    }
}

/// The headers of the last answer in what `--dump-header` wrote; earlier ones are `100 Continue` and redirects.
fn headers_in(dump: &str) -> HeaderMap {
    let last = dump.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
    let pairs = last.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs
        .filter_map(|(name, value)| {
            Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_pasted_command_reaches_the_server_character_for_character() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 4096];
            let mut length = 0;
            while !String::from_utf8_lossy(&seen[..length]).contains("First visit") {
                length += socket.read(&mut seen[length..]).await.unwrap();
            }
            socket.write_all(b"HTTP/1.1 418 Teapot\r\nX-Request-ID: 7\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            String::from_utf8(seen[..length].to_vec()).unwrap()
        });
        let command = "curl -X POST https://loopbackend.duckdns.org/api/v1/booking/appointments/ \\\n  -H \"Authorization: Bearer \" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{\"title\":\"Consultation\",\"description\":\"First visit\"}'";
        let answer = Curl::at(&base).paste(command).await;
        let seen = server.await.unwrap();
        assert!(seen.starts_with("POST /api/v1/booking/appointments/ HTTP/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("Authorization: Bearer")
                && seen.ends_with(r#"{"title":"Consultation","description":"First visit"}"#),
            "{seen}"
        );
        assert_eq!((answer.status, answer.text().as_str(), answer.header("x-request-id")), (418, "{}", Some("7")));
        assert!(Curl::with_token(command, "abc").contains("Bearer abc\" \\"));
    }
}
