//! What to try after an error, in the words of the command line. The library's errors know no options.

use handshake_core::Error;
use handshake_core::error::{Limit, Remedy};

/// Returns the error's text, with the options that may help.
pub fn explain(error: &Error) -> String {
    match (hint(error), error) {
        (hint, _) if hint.is_empty() => error.to_string(),
        (option, Error::AnswerTooLong { .. }) => format!("{error} ({option})"),
        (hint, _) => format!("{error}: {hint}"),
    }
}

/// Returns what to try next. May be empty.
fn hint(error: &Error) -> String {
    let hint = match error {
        Error::System { remedy: Some(remedy), .. } | Error::NoAnswer { remedy, .. } => in_options(*remedy),
        Error::NoName { .. } => "name a pipe in a directory with --wkp",
        Error::NotOurs { .. } => "choose another name with --wkp, or remove it yourself",
        Error::InUse { .. } => "end that server, or choose another name with --wkp",
        Error::NoServer { path, .. } => {
            return format!(
                "is a server running, and not busy with another client? Start one with: forking-server \
                 --wkp {}",
                path.display()
            );
        }
        Error::NoReply { .. } => "try a longer --reply-timeout, or 0 to wait for ever",
        Error::AnswerTooLong { limit: Limit::Client, .. } => "--max-message",
        Error::TooLong { limit: Limit::Window(_), .. } => "use a server without --shared-wkp",
        Error::TooLong { .. } => "start it with a larger --max-message",
        Error::Unfit { .. } => "use --dialect framed, if the server speaks it",
        _ => "",
    };
    hint.into()
}

fn in_options(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Directory => {
            "--wkp must be in a directory that exists and is writable, on a file system with FIFOs and locks"
        }
        Remedy::ClientDirectory => {
            "--wkp must be in a directory that exists and is writable, on a file system with FIFOs"
        }
        Remedy::ShorterName => "choose a shorter name with --wkp",
        Remedy::OtherName => "choose another name with --wkp",
        Remedy::NoLink => "name the pipe itself with --wkp",
        Remedy::OtherPrivateName => "choose another --private-name",
        Remedy::FreePrivateName => "choose another --private-name, or remove it",
        Remedy::MoreTime => "it may be stopped or busy with another client: try a longer --timeout",
        Remedy::MoreTimeOrCourse => {
            "try again with a longer --timeout, or with --dialect course if the server is a program of the \
             course"
        }
        Remedy::Course => "try --dialect course",
        Remedy::TwoSteps => "try --handshake 2",
        Remedy::TryAgain => {
            "another client may have been quicker: try again; or try the --private-name that the server \
             expects, or --dialect framed"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use handshake_core::place::Place;
    use handshake_core::server::claim::Claim;

    use super::*;

    #[test]
    fn a_hint_follows_the_text() {
        let place = Place::new(Path::new("/nowhere/mario")).expect("it has a name");
        assert_eq!(
            explain(&Claim::take(&place).expect_err("there is no such directory")),
            "cannot open the lock file \"/nowhere/.mario.lock\": ENOENT (no such file or directory): --wkp \
             must be in a directory that exists and is writable, on a file system with FIFOs and locks"
        );
        let nameless = Place::new(Path::new("/")).expect_err("it has no name");
        assert_eq!(nameless.to_string(), "cannot use the path \"/\": EINVAL (it ends in no name)");
        assert_eq!(explain(&nameless), format!("{nameless}: name a pipe in a directory with --wkp"));
        let silent = Error::no_reply(Duration::from_secs(1), 2, "it lives");
        assert_eq!(
            explain(&silent),
            format!("{silent}: try a longer --reply-timeout, or 0 to wait for ever")
        );
        assert_eq!(explain(&Error::lost("it left")), "the connection is over: it left");
    }
}
