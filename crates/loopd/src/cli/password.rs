//! A password for a command: named, piped, or typed where nobody reads along.

use std::io::{IsTerminal as _, Stdin, stdin};

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

#[derive(Args)]
pub struct Given {
    /// The password itself; whoever else is on this machine can see it while the command runs.
    #[arg(long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from one line of standard input, and ask nothing.
    #[arg(long)]
    password_stdin: bool,
}

impl Given {
    /// The password that was named, or a line of standard input. A terminal is asked twice and shows nothing of it.
    ///
    /// # Errors
    /// When nothing comes, or what was typed twice differs.
    pub fn read(self, email: &str) -> anyhow::Result<String> {
        if let Some(password) = self.password {
            return Ok(password);
        }
        let input = stdin();
        if self.password_stdin || !input.is_terminal() {
            return line(&input);
        }
        let _hidden = Hidden::begin(&input).context("the terminal cannot hide what is typed; use --password-stdin")?;
        eprint!("Password for {email}: ");
        let password = line(&input)?;
        eprint!("Once more: ");
        if line(&input)? != password {
            bail!("the two are not the same; nothing was changed");
        }
        Ok(password)
    }
}

fn line(input: &Stdin) -> anyhow::Result<String> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        bail!("no password came by standard input");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal shows nothing of what is typed for as long as this lives, or until somebody gives up with Ctrl-C.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn begin(terminal: &Stdin) -> anyhow::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        // The line's end is shown, or the next words would stand beside the question.
        hidden.local_modes = (hidden.local_modes - LocalModes::ECHO) | LocalModes::ECHONL;
        let found = before.clone();
        // Left to itself, an interrupt would leave the shell that follows without an echo.
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = tcsetattr(stdin(), OptionalActions::Flush, &found);
                std::process::exit(130);
            }
        });
        tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
    }
}
