//! `lab why` names each of sixteen ways to hang, in C, Python and Rust.

use predicates::prelude::*;
use predicates::str::contains;

use workspace_tests::wait::until;

use crate::hung::{Hung, says, told, told_in_c};

#[test]
fn a_client_waits_at_its_private_pipe() {
    told(
        "client-private",
        &[("client", "open"), ("server", "pause")],
        &[
            "✘ @client waits in open(\"#\", O_RDONLY), until a process opens it for writing. None has. \
             Meanwhile @server waits in pause() for a signal.",
            "step 5 of the client: the server must take step 7, which opens # for writing",
            "likely remedy: open it for writing in the process that is to write",
        ],
    );
}

/// The server waits for the client that has ended. With the next client, it is in no deadlock.
#[test]
fn a_client_has_ended_before_step_5() {
    for hung in Hung::in_each_language("client-died") {
        let hung = hung.waits(&[("server", "open"), ("next", "open")]);
        hung.why(&[])
            .code(1)
            .stdout(says(
                "✘ @server waits in open(\"#\", O_WRONLY), until a process opens it for reading. None has. \
                 Meanwhile @next waits in open(\"mario\", O_WRONLY).",
            ))
            .stdout(says(
                "step 7 of the server: there is no process #; its client has probably ended before step 5",
            ))
            .stdout(says(
                "likely remedy: open # with O_NONBLOCK, and retry for a limited time; `cat #` releases the \
                 server now",
            ))
            .stdout(contains("deadlock").not());
        hung.end();
    }
}

#[test]
fn three_clients_wait_for_a_busy_server() {
    let clients = ["client"; 3].map(|client| (client, "open"));
    told(
        "busy-server",
        &[&[("server", "pause")], clients.as_slice()].concat(),
        &[
            "✘ @client waits in open(\"mario\", O_WRONLY), until a process opens it for reading. None has. \
             Meanwhile @server waits in pause() for a signal. 2 other processes wait to open it in the same \
             way.",
            "step 4 of the client: a server must be at step 2, which opens mario for reading",
            "likely remedy: open it for reading in the process that is to read",
        ],
    );
}

/// A server at step 2 is no fault. Only its sentence is told.
#[test]
fn a_server_waits_for_a_client() {
    for hung in Hung::in_each_language("server-waits") {
        let hung = hung.waits(&[("server", "open")]);
        hung.why(&[])
            .code(0)
            .stdout(says(
                "• @server waits in open(\"mario\", O_RDONLY), until a process opens it for writing. None has.",
            ))
            .stdout(says("step 2 of the server: it waits for a client, which takes step 4"))
            .stdout(says("✔ no process is stuck"));
        // With another well-known pipe, it is any program.
        hung.why(&["--wkp", "luigi"]).code(1).stdout(says(
            "✘ @server waits in open(\"mario\", O_RDONLY), until a process opens it for writing. None has.",
        ));
        hung.end();
    }
}

#[test]
fn another_process_holds_the_write_end() {
    told(
        "held-end",
        &[("reader", "read"), ("holder", "pause")],
        &[
            "✘ @reader waits in read(#) on the unnamed pipe [#] (0 of # bytes in it). The write end is held \
             by @holder as descriptor #, which waits in pause() for a signal.",
            "likely remedy: @holder must write, or close(#) if it is not to write",
            "• threads that run or may go on: 1",
        ],
    );
}

#[test]
fn a_reader_holds_the_only_write_end() {
    for (scene, remedy) in [
        ("self-held", "close(#) before the read"),
        ("self-both", "open descriptor # with O_RDONLY: with O_RDWR it is its own writer"),
    ] {
        for hung in Hung::in_each_language(scene) {
            let hung = hung.waits(&[("server", "read")]);
            let sentence = "@server waits in read(#) on mario (0 of # bytes in it). The only write end is its \
                        own, descriptor #: no end of file can come.";
            // Between two clients this is usual.
            hung.why(&[])
                .code(0)
                .stdout(says(&format!("• {sentence}")))
                .stdout(says("step 6 of the server: it waits for the name of a client's private pipe"));
            let other = hung.why(&["--wkp", "luigi"]).code(1);
            other.stdout(says(&format!("✘ {sentence}"))).stdout(says(&format!("likely remedy: {remedy}")));
            hung.end();
        }
    }
}

#[test]
fn two_writers_fill_each_others_pipes() {
    told(
        "two-writers",
        &[("first", "write"), ("second", "write")],
        &[
            "✘ @first waits in write(#) of 65536 bytes on the unnamed pipe [#] (65536 of 65536 bytes in it). \
             The read end is held by @second as descriptor #, which waits in write(#) of 65536 bytes on the \
             unnamed pipe [#].",
            "likely remedy: @second must read from descriptor #",
            "✘ deadlock: @first waits in write(#) of 65536 bytes on the unnamed pipe [#] and needs @second; \
             @second waits in write(#) of 65536 bytes on the unnamed pipe [#] and needs @first.",
            "likely remedy: one of them must read while it writes: poll() says which is possible",
        ],
    );
}

#[test]
fn two_readers_wait_for_each_other() {
    told(
        "two-readers",
        &[("first", "read"), ("second", "read")],
        &[
            "✘ deadlock: @first waits in read(#) on the unnamed pipe [#] and needs @second; @second waits in \
             read(#) on the unnamed pipe [#] and needs @first.",
            "likely remedy: one of them must write first, or close the write end that it does not need",
        ],
    );
}

#[test]
fn a_parent_does_not_reap() {
    told(
        "zombie",
        &[("ended", "zombie"), ("parent", "pause")],
        &[
            "✘ @ended has ended (exit status 1) and is a zombie: its parent @parent has not waited for it, \
             and waits in pause() for a signal.",
            "likely remedy: call waitpid() in the parent, after SIGCHLD or before each wait",
        ],
    );
}

#[test]
fn the_name_of_a_pipe_is_gone() {
    told(
        "gone-wkp",
        &[("client", "open"), ("remover", "pause")],
        &[
            "✘ @client waits in open(\"mario\", O_WRONLY), until a process opens it for reading. The name \
             is gone: no process can open it by that name.",
            "step 4 of the client: a server must be at step 2, which opens mario for reading",
            "likely remedy: remove a FIFO only when both sides have it open; now end this process",
        ],
    );
}

#[test]
fn two_processes_open_two_pipes_crosswise() {
    told(
        "both-read-first",
        &[("first", "open"), ("second", "open")],
        &[
            "✘ likely deadlock: @first waits in open(\"up\", O_RDONLY) and needs @second; @second waits in \
             open(\"down\", O_RDONLY) and needs @first.",
            "likely remedy: open the FIFOs in the same order on both sides",
        ],
    );
}

#[test]
fn a_poll_and_a_select_wait_as_a_read_does() {
    for call in ["poll", "select"] {
        let sentence = format!(
            "✘ @reader waits in {call}(#) on the unnamed pipe [#] (0 of # bytes in it). The write end is \
             held by @holder as descriptor #, which waits in pause() for a signal."
        );
        told(call, &[("reader", call), ("holder", "pause")], &[&sentence]);
    }
}

/// A program that computes is not stuck.
#[test]
fn a_busy_loop_is_named() {
    for hung in Hung::in_each_language("spin") {
        let hung = hung.waits(&[("client", "runs")]);
        // On a busy machine the program may get no processor between two looks.
        let busy = until("the busy loop to be seen", || {
            let seen = hung.why(&[]).code(0);
            let is_seen = String::from_utf8_lossy(&seen.get_output().stdout).contains("uses the processor");
            is_seen.then_some(seen)
        });
        busy.stdout(says("• @client uses the processor all the time: it computes, or asks again and again."))
            .stdout(says(
                "likely remedy: descriptor # has O_NONBLOCK: wait for it in poll(), or open it without",
            ));
        hung.end();
    }
}

#[test]
fn a_process_is_stopped() {
    let sentences = ["✘ @stopped is stopped by a signal.", "likely remedy: fg in its shell, or kill -CONT #"];
    told("stopped", &[("stopped", "stopped")], &sentences);
}

#[test]
fn a_parent_waits_for_a_child_that_waits_for_it() {
    told(
        "wait-child",
        &[("parent", "wait"), ("child", "read")],
        &[
            "✘ @parent waits in wait4() for its child @child, which waits in read(#) on the unnamed pipe [#].",
            "likely remedy: the parent must close its write end before it waits for the child",
        ],
    );
}

/// The child has inherited the write end, too.
#[test]
fn a_child_holds_its_own_write_end() {
    told_in_c(
        "wait-child",
        &[("parent", "wait"), ("child", "read")],
        &["likely remedy: close(4) before the read, and close(4) in @parent"],
    );
}
