//! `lab why` in rarer cases: threads, many pipes, chains, other namespaces and users.

use std::process::Command;

use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::contains;
use workspace_tests::peers::hanging_program;
use workspace_tests::{Scene, Tool, is_root, needs, not_run, path_of};

use crate::hung::{Hung, Language, may_look, says, told, told_in_c};

#[test]
fn each_thread_has_its_sentence() {
    told(
        "threads",
        &[("main", "futex"), ("worker", "read"), ("holder", "pause")],
        &[
            "✘ @main waits in futex() for another thread of its process (a join, a mutex or a condition).",
            "✘ @main, thread # (worker), waits in read(#) on the unnamed pipe [#] (0 of # bytes in it). The \
             write end is held by @holder as descriptor #, which waits in pause() for a signal.",
        ],
    );
}

/// The state of such a process is that of a zombie (proc_pid_stat(5)), but it lives.
#[test]
fn a_process_whose_first_thread_has_ended_is_no_zombie() {
    told_in_c(
        "leader-ended",
        &[("worker", "read")],
        &["✘ @main, thread # (worker), waits in read(3) on the unnamed pipe [#]. The \
           only write end is its own, descriptor 4: no end of file can come."],
    );
}

#[test]
fn a_poll_of_many_pipes_names_some_of_them() {
    let holders = ["holder"; 5].map(|holder| (holder, "pause"));
    let waits = [&[("reader", "poll")], holders.as_slice()].concat();
    told(
        "poll-many",
        &waits,
        &["✘ @reader waits in poll() on the unnamed pipe [#] (#), the unnamed pipe [#] (#), the unnamed \
             pipe [#] (#), 2 more. The other ends are held by @holder, which waits in pause() for a signal; \
             @holder, which waits in pause() for a signal; @holder, which waits in pause() for a signal; 2 \
             more."],
    );
}

#[test]
fn an_epoll_instance_tells_its_pipes() {
    told(
        "epoll",
        &[("reader", "epoll_wait"), ("holder", "pause")],
        &["✘ @reader waits in epoll_wait(#) on the unnamed pipe [#] (0 of # bytes in it). The write end is \
           held by @holder as descriptor #, which waits in pause() for a signal."],
    );
}

#[test]
fn a_chain_of_three_is_told_link_by_link() {
    told(
        "chain",
        &[("first", "read"), ("second", "read"), ("third", "pause")],
        &[
            "✘ @first waits in read(#) on the unnamed pipe [#] (0 of # bytes in it). The write end is held \
             by @second as descriptor #, which waits in read(#) on the unnamed pipe [#].",
            "✘ @second waits in read(#) on the unnamed pipe [#] (0 of # bytes in it). The write end is held \
             by @third as descriptor #, which waits in pause() for a signal.",
        ],
    );
}

#[test]
fn a_stopped_reader_stops_its_writer() {
    told(
        "stopped-reader",
        &[("writer", "write"), ("reader", "stopped")],
        &[
            "✘ @writer waits in write(#) of 65536 bytes on the unnamed pipe [#] (65536 of 65536 bytes in \
             it). The read end is held by @reader as descriptor #, which is stopped by a signal.",
            "likely remedy: fg in its shell, or kill -CONT #",
        ],
    );
}

#[test]
fn a_writer_is_the_only_reader() {
    told(
        "own-reader",
        &[("writer", "write")],
        &[
            "✘ @writer waits in write(#) of 65536 bytes on the unnamed pipe [#] (65536 of 65536 bytes in it). \
           The only read end is its own, descriptor #: no other process reads.",
        ],
    );
}

#[test]
fn a_client_takes_step_5_before_step_4() {
    told(
        "too-early",
        &[("client", "open"), ("server", "open")],
        &[
            "✘ @client waits in open(\"secret\", O_RDONLY), until a process opens it for writing. None has. \
             Meanwhile @server waits in open(\"mario\", O_RDONLY).",
            "step 5 of the client, too early: the server is still at step 2, in its open of mario",
            "likely remedy: take step 4 first: open mario for writing, and send the private pipe's name",
        ],
    );
}

#[test]
fn a_newer_pipe_has_the_name() {
    told(
        "newer-wkp",
        &[("client", "open"), ("server", "pause")],
        &[
            "✘ @client waits in open(\"mario\", O_WRONLY), until a process opens it for reading. None can: \
             its FIFO was removed, and the name belongs to a newer one, which @server has open.",
            "likely remedy: do not remove and make a FIFO while a process waits to open it",
        ],
    );
}

#[test]
fn two_processes_open_one_pipe_in_the_same_way() {
    told(
        "both-read-same",
        &[("first", "open"), ("second", "open")],
        &[
            "✘ @first waits in open(\"mario\", O_RDONLY), until a process opens it for writing. None has: \
             @second waits to open it in the same way.",
            "likely remedy: one side must open it with O_WRONLY",
        ],
    );
}

/// Its own write end is what the program wants: its signal handler writes.
#[test]
fn a_self_pipe_is_not_to_be_closed() {
    told_in_c(
        "self-pipe",
        &[("reader", "poll"), ("holder", "pause")],
        &["likely remedy: @holder must write, or close(6) if it is not to write"],
    );
    let Some(hung) = Hung::in_c("only-self-pipe") else { return };
    let hung = hung.waits(&[("reader", "poll")]);
    hung.why(&[]).code(1).stdout(contains("remedy").not());
    hung.end();
}

#[test]
fn two_threads_read_from_each_other() {
    told(
        "two-threads",
        &[("main", "read"), ("worker", "read")],
        &[
            "✘ @main waits in read(#) on the unnamed pipe [#] (0 of # bytes in it). The only write end is \
             its own, descriptor #: no end of file can come.",
            "likely remedy: another thread must write to descriptor #, or close it",
            "✘ @main, thread # (worker), waits in read(#) on the unnamed pipe [#] (0 of # bytes in it). The \
             only write end is its own, descriptor #: no end of file can come.",
            "likely remedy: another thread must write to descriptor #, or close it",
        ],
    );
}

/// pthread_cond_timedwait(3) gives the kernel an absolute time.
#[test]
fn a_thread_that_waits_for_a_time_is_not_stuck() {
    let Some(hung) = Hung::in_c("timed-wait") else { return };
    let hung = hung.waits(&[("main", "futex"), ("worker", "futex")]);
    hung.why(&[]).code(0).stdout(says("✔ no process is stuck")).stdout(says(
        "• @main, thread # (worker), waits in futex() for another thread of its process (a join, a mutex or \
         a condition), for at most # s.",
    ));
    hung.end();
}

#[test]
fn an_open_of_a_file_is_no_wait_for_a_pipe() {
    let Some(hung) = Hung::in_c("leased") else { return };
    let hung = hung.waits(&[("writer", "open"), ("holder", "pause")]);
    hung.why(&[])
        .code(0)
        .stdout(says("• @writer waits in open() for file."))
        .stdout(says("✔ no process is stuck"));
    hung.end();
}

/// A minute is long for a person. After a shorter sleep, the holder may go on.
#[test]
fn a_long_sleep_holds_the_pipe() {
    told(
        "long-sleep",
        &[("reader", "read"), ("holder", "sleep")],
        &[
            "✘ @reader waits in read(#) on the unnamed pipe [#] (0 of # bytes in it). The write end is held by \
           @holder as descriptor #, which sleeps for # s.",
        ],
    );
    let Some(hung) = Hung::in_c("short-poll") else { return };
    let hung = hung.waits(&[("reader", "read"), ("holder", "sleep")]);
    hung.why(&[]).code(0).stdout(says("✔ no process is stuck"));
    hung.end();
}

#[test]
fn a_parent_waits_for_a_child_that_writes_to_it() {
    told(
        "wait-before-read",
        &[("parent", "wait"), ("child", "write")],
        &[
            "likely remedy: @parent must read from descriptor #",
            "✘ deadlock: @parent waits in wait4() for a child and needs @child; @child waits in write(#) of # \
             bytes on the unnamed pipe [#] and needs @parent.",
            "likely remedy: the parent must read to the end of file before it waits for the child",
        ],
    );
}

/// The course's own server, in Rust, and a client that comes too late to be noticed.
#[test]
fn a_naive_server_waits_for_a_client() {
    if !may_look() {
        return;
    }
    let scene = Scene::new();
    let server = scene.client_at(path_of("naive-server")).start();
    let hung = Hung { scene, program: server };
    let hung = hung.waits(&[("naive-server", "open")]);
    hung.why(&[]).code(0).stdout(contains("step 2 of the server"));
    hung.end();
}

#[test]
fn a_process_in_a_pid_namespace_has_both_numbers() {
    if !needs(&[Tool::Command("unshare")]) || !may_look() {
        return;
    }
    let container = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    let tried = Command::new("unshare").args(container).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        not_run("unshare(1) may make no PID namespace here");
        return;
    }
    for command in Language::ALL.into_iter().filter_map(Language::command) {
        let scene = Scene::new();
        let program = scene.client_at("unshare").args(container).args(command).arg("held-end").start();
        let hung = Hung { scene, program }.waits(&[("reader", "read"), ("holder", "pause")]);
        hung.why(&[])
            .code(1)
            .stdout(contains(" (reader, 1 in its namespace) waits in read("))
            .stdout(contains(" (holder, ").and(contains(" in its namespace) as descriptor ")));
        hung.end();
    }
}

/// The lines that count sleeps stand behind the groups in /proc/PID/status (proc_pid_status(5)).
#[test]
fn a_process_of_many_groups_is_read_whole() {
    if !needs(&[Tool::CCompiler, Tool::Command("setpriv")]) || !is_root() {
        return;
    }
    let groups = (100_000..102_000).map(|group| group.to_string()).collect::<Vec<_>>().join(",");
    let scene = Scene::new();
    let program =
        scene.client_at("setpriv").args(["--groups", &groups]).arg(hanging_program()).arg("held-end").start();
    Hung { scene, program }.waits(&[("reader", "read"), ("holder", "pause")]).tells(&[
        "✘ @reader waits in read(3) on the unnamed pipe [#] (0 of # bytes in it). The write end is held by \
         @holder as descriptor 4, which waits in pause() for a signal.",
    ]);
}

/// poll(2) goes on as restart_syscall(2), which hides the call.
#[test]
fn a_poll_that_was_stopped_and_continued_is_still_known() {
    let Some(hung) = Hung::in_c("poll") else { return };
    let hung = hung.waits(&[("reader", "poll")]);
    hung.scene.signal_server(hung.program.pid(), Signal::SIGSTOP);
    hung.program.signal(Signal::SIGCONT);
    hung.waits(&[("reader", "poll")]).tells(&[
        "✘ @reader waits in poll(3) on the unnamed pipe [#] (0 of # bytes in it). The write end is held by \
         @holder as descriptor 4, which waits in pause() for a signal.",
    ]);
}
