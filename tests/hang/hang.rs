//! Programs in Rust that hang: hang SCENE. As hang.c does, each process takes a name.
//!
//! A Rust program forks no copy of itself. It starts another program, here `hang as NAME ACTION [PATH]`,
//! whose stdin and stdout are ends of pipes.

use std::fs::{self, File};
use std::io::{PipeReader, Read, Write, pipe, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Child, Command, Stdio, exit, id};
use std::thread::{Builder, scope};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::select::{FdSet, select};
use nix::sys::signal::{Signal, raise};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pause};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "as", name, action] => act(name, action, ""),
        [_, "as", name, action, path] => act(name, action, path),
        [_, scene] => play(scene),
        _ => Err("usage: hang SCENE".into()),
    }
}

/// What a started process does.
fn act(name: &str, action: &str, path: &str) -> Result {
    take_name(name)?;
    match action {
        "waits" => wait_for_signal(),
        "sleeps" => {
            sleep(Duration::from_secs(1000));
            Ok(())
        }
        "ends" => exit(1),
        "stops" => Ok(raise(Signal::SIGSTOP)?),
        "reads" => read_one(stdin()),
        "writes" => flood(stdout()),
        "opens-for-reading" => read_one(File::open(path)?),
        "opens-for-writing" => flood(open_for_writing(path)?),
        "sends-its-name" => {
            let own = id().to_string();
            make(&own)?;
            Ok(fs::write(path, own)?)
        }
        "removes" => {
            until_parent_waits()?;
            fs::remove_file(path)?;
            wait_for_signal()
        }
        "replaces" => {
            until_parent_waits()?;
            fs::rename(make("other")?, path)?;
            let _reader = open_at_once(path)?;
            wait_for_signal()
        }
        _ => Err("no such action".into()),
    }
}

fn play(scene: &str) -> Result {
    match scene {
        "client-private" => {
            start("server", "waits", "")?;
            take_name("client")?;
            read_one(File::open(make(&id().to_string())?)?)
        }
        "too-early" => {
            start("server", "opens-for-reading", make("mario")?)?;
            take_name("client")?;
            read_one(File::open(make("secret")?)?)
        }
        "client-died" => {
            take_name("server")?;
            let mut client = start("client", "sends-its-name", make("mario")?)?;
            let own = fs::read_to_string("mario")?;
            client.wait()?;
            start("next", "opens-for-writing", "mario")?;
            flood(open_for_writing(&own)?)
        }
        "server-waits" => {
            take_name("server")?;
            read_one(File::open(make("mario")?)?)
        }
        "busy-server" => {
            make("mario")?;
            for _ in 0..3 {
                start("client", "opens-for-writing", "mario")?;
            }
            take_name("server")?;
            wait_for_signal()
        }
        "held-end" => read_one(held_pipe("waits")?),
        "long-sleep" => read_one(held_pipe("sleeps")?),
        "self-held" => {
            take_name("server")?;
            let (reader, _writer) = both_ends_of(make("mario")?)?;
            fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty()))?;
            read_one(reader)
        }
        "self-both" => {
            take_name("server")?;
            read_one(File::options().read(true).write(true).open(make("mario")?)?)
        }
        "two-writers" | "two-readers" => {
            let ((second_reads, first_writes), (first_reads, second_writes)) = (pipe()?, pipe()?);
            let reads = scene == "two-readers";
            let action = if reads { "reads" } else { "writes" };
            start_with("second", action, "", second_reads.into(), second_writes.into())?;
            take_name("first")?;
            if reads { read_one(first_reads) } else { flood(first_writes) }
        }
        "zombie" => {
            take_name("parent")?;
            start("ended", "ends", "")?;
            wait_for_signal()
        }
        "gone-wkp" | "newer-wkp" => {
            take_name("client")?;
            let (name, action) =
                if scene == "gone-wkp" { ("remover", "removes") } else { ("server", "replaces") };
            start(name, action, make("mario")?)?;
            flood(open_for_writing("mario")?)
        }
        "both-read-first" => {
            make("up")?;
            start("second", "opens-for-reading", make("down")?)?;
            take_name("first")?;
            read_one(File::open("up")?)
        }
        "both-read-same" => {
            start("second", "opens-for-reading", make("mario")?)?;
            take_name("first")?;
            read_one(File::open("mario")?)
        }
        "poll" => poll_all(&[held_pipe("waits")?]),
        "poll-many" => {
            let pipes: Result<Vec<_>> = (0..5).map(|_| held_pipe("waits")).collect();
            poll_all(&pipes?)
        }
        "select" => {
            let reader = held_pipe("waits")?;
            let mut set = FdSet::new();
            set.insert(reader.as_fd());
            select(None, &mut set, None, None, None)?;
            Ok(())
        }
        "epoll" => {
            let (watcher, reader) = (Epoll::new(EpollCreateFlags::empty())?, held_pipe("waits")?);
            watcher.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
            watcher.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
            Ok(())
        }
        "spin" => {
            take_name("client")?;
            let (mut reader, _writer) = both_ends_of(make("mario")?)?;
            while reader.read(&mut [0]).is_err() {}
            Ok(())
        }
        "stopped" => {
            take_name("stopped")?;
            Ok(raise(Signal::SIGSTOP)?)
        }
        "stopped-reader" => {
            let (reader, writer) = pipe()?;
            start_with("reader", "stops", "", reader.into(), Stdio::null())?;
            take_name("writer")?;
            flood(writer)
        }
        "own-reader" => {
            take_name("writer")?;
            let (_reader, writer) = pipe()?;
            flood(writer)
        }
        "wait-child" => {
            let (reader, _writer) = pipe()?;
            let mut child = start_with("child", "reads", "", reader.into(), Stdio::null())?;
            take_name("parent")?;
            child.wait()?;
            Ok(())
        }
        "wait-before-read" => {
            let (_reader, writer) = pipe()?;
            let mut child = start_with("child", "writes", "", Stdio::null(), writer.into())?;
            take_name("parent")?;
            child.wait()?;
            Ok(())
        }
        "threads" => read_in_thread(held_pipe("waits")?, || Ok(())),
        "two-threads" => {
            let ((to, _to_writer), (from, _from_writer)) = (pipe()?, pipe()?);
            read_in_thread(to, || read_one(from))
        }
        "chain" => {
            let ((first_reads, second_writes), (second_reads, third_writes)) = (pipe()?, pipe()?);
            start_with("second", "reads", "", second_reads.into(), second_writes.into())?;
            start_with("third", "waits", "", Stdio::null(), third_writes.into())?;
            take_name("first")?;
            read_one(first_reads)
        }
        _ => Err("no such scene".into()),
    }
}

fn take_name(name: &str) -> Result {
    Ok(fs::write("/proc/thread-self/comm", name)?)
}

fn start(name: &str, action: &str, path: impl AsRef<Path>) -> Result<Child> {
    start_with(name, action, path, Stdio::null(), Stdio::null())
}

fn start_with(
    name: &str,
    action: &str,
    path: impl AsRef<Path>,
    stdin: Stdio,
    stdout: Stdio,
) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["as", name, action]).arg(path.as_ref()).stdin(stdin).stdout(stdout);
    Ok(command.spawn()?)
}

fn make(path: &str) -> Result<&str> {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    Ok(path)
}

/// A pipe that another process, the holder, can write to.
fn held_pipe(holder: &str) -> Result<PipeReader> {
    let (reader, writer) = pipe()?;
    start_with("holder", holder, "", Stdio::null(), writer.into())?;
    take_name("reader")?;
    Ok(reader)
}

/// A FIFO's read end. The open does not wait.
fn open_at_once(path: &str) -> Result<File> {
    Ok(File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?)
}

/// Both ends of a FIFO. A read does not wait.
fn both_ends_of(path: &str) -> Result<(File, File)> {
    Ok((open_at_once(path)?, open_for_writing(path)?))
}

fn open_for_writing(path: &str) -> Result<File> {
    Ok(File::options().write(true).open(path)?)
}

fn read_one(mut from: impl Read) -> Result {
    Ok(from.read_exact(&mut [0])?)
}

/// Writes more than any pipe takes.
fn flood(mut to: impl Write) -> Result {
    loop {
        to.write_all(&[0; 65536])?;
    }
}

fn poll_all(readers: &[PipeReader]) -> Result {
    let mut polled: Vec<_> =
        readers.iter().map(|reader| PollFd::new(reader.as_fd(), PollFlags::POLLIN)).collect();
    poll(&mut polled, PollTimeout::NONE)?;
    Ok(())
}

/// A second thread reads; the first one does something else, and waits for its end.
fn read_in_thread(reader: PipeReader, meanwhile: impl FnOnce() -> Result) -> Result {
    take_name("main")?;
    scope(|threads| {
        let read = move || read_one(reader).expect("a byte");
        Builder::new().name("worker".into()).spawn_scoped(threads, read)?;
        meanwhile()
    })
}

fn wait_for_signal() -> Result {
    loop {
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "to sleep is what this program is to do")]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until the parent waits in an open() of a FIFO.
fn until_parent_waits() -> Result {
    while fs::read_to_string(format!("/proc/{}/wchan", parent_id()))? != "wait_for_partner" {
        sleep(Duration::from_millis(1));
    }
    Ok(())
}
