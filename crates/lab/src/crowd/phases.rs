//! The phases of a run: all clients come, the lab measures, more clients come, all leave.

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::Result;
use handshake_core::process::Process;

use super::Plan;
use super::excess::connect_more;
use super::load::{Load, Stay, TIMEOUT, await_reports};
use super::memory::{Machine, Memory};
use super::verdict::Seen;
use crate::demo::printer::Printer;
use crate::server_under_test::{ServerUnderTest, Snapshot};

/// The width of the names in the output.
const NAMES: usize = 24;

/// Runs all phases.
///
/// # Errors
/// [`handshake_core::Error::Lost`]: the server has ended by itself. [`handshake_core::Error::Signal`]. A
/// process cannot be started.
pub(super) fn run(
    plan: &Plan,
    server: &mut ServerUnderTest,
    process: &Process,
    seen: &mut Seen,
    printer: &mut Printer,
) -> Result<()> {
    let before = server.at_rest(process, None)?;
    let machine = Machine::now();
    let mut loads = connect_all(plan, server, process, seen, printer)?;
    // The machine's memory comes first, because reading /proc costs kernel memory as well.
    let machine = (machine, Machine::now());
    let full = server.snapshot();
    print_server(plan, (&before, &full), printer)?;
    let pids: Vec<u32> = loads.iter().map(Load::pid).collect();
    print_memory(&Memory::of(plan.clients, machine, &full.subservers, &pids), printer)?;
    seen.full = Some(full);
    stay_idle(plan, server, process, printer)?;
    if plan.beyond > 0 {
        seen.excess = Some(connect_more(plan.beyond, &mut loads[0], server, process)?);
    }
    for load in &mut loads {
        load.leave();
    }
    for mut load in loads {
        seen.load_ended(load.end(process)?);
    }
    seen.after = Some(server.at_rest(process, Some(&before))?);
    seen.before = Some(before);
    Ok(())
}

/// Connects all clients at once; they stay.
fn connect_all(
    plan: &Plan,
    server: &mut ServerUnderTest,
    process: &Process,
    seen: &mut Seen,
    printer: &mut Printer,
) -> Result<Vec<Load>> {
    let began = now();
    let start = |share: usize| Load::start(server, share, Stay::UntilAsked);
    let mut loads = plan.shares().into_iter().map(start).collect::<Result<Vec<_>>>()?;
    await_reports(&mut loads, Deadline::after(2 * TIMEOUT), server, process)?;
    let seconds = (now() - began).as_secs_f64();
    loads.iter().try_for_each(|load| printer.line(&format!("$ {}", load.words)))?;
    seen.reports = loads.iter().filter_map(Load::report).collect();
    print_clients(seen, seconds, loads.len(), printer)?;
    Ok(loads)
}

fn print_clients(seen: &Seen, seconds: f64, loads: usize, printer: &mut Printer) -> Result<()> {
    let clients = seen.clients;
    let own = seen.reports.iter().map(|report| format!("{:.3} s", report.connect_seconds));
    let own = own.collect::<Vec<_>>().join(", ");
    printer.line("")?;
    row("clients", format!("{clients} in {loads} processes"), printer)?;
    let all = format!("in {seconds:.3} s, from the start of these processes to the last reply");
    row("connected", all, printer)?;
    let own = format!("by itself: {own}, from its first handshake's beginning to its last READY");
    row("  each process", own, printer)?;
    let [right, lost, wrong] = seen.right_lost_wrong();
    row("replies", format!("{right} right, {lost} lost, {wrong} wrong"), printer)?;
    let records = seen.sum(|report| report.handshake_records);
    let each = records as f64 / clients as f64;
    row("handshake records", format!("{records}, {each:.2} a client"), printer)
}

fn print_server(plan: &Plan, (before, full): (&Snapshot, &Snapshot), printer: &mut Printer) -> Result<()> {
    let (had, has) = (before.descriptors.len(), full.descriptors.len());
    let each = (has as f64 - had as f64) / plan.clients as f64;
    row("server's descriptors", format!("{has}; {had} without clients, {each:.2} more a client"), printer)?;
    let subservers = full.subservers.len();
    row("server's processes", format!("{}: itself and {subservers} subservers", subservers + 1), printer)
}

fn print_memory(memory: &Memory, printer: &mut Printer) -> Result<()> {
    printer.line("\nMemory of an idle client, in KiB, all kernel memory counted:")?;
    for (name, kib, what) in memory.rows() {
        row(&format!("  {name}"), format!("{kib:>7.1}  {what}").trim_end().to_owned(), printer)?;
    }
    printer.paragraph(
        "The values from /proc/meminfo are differences of the whole machine: other programs disturb them.",
    )
}

fn row(name: &str, value: String, printer: &mut Printer) -> Result<()> {
    printer.line(&format!("{name:<NAMES$}{value}"))
}

/// Keeps all clients idle for `--idle-for`.
fn stay_idle(plan: &Plan, server: &ServerUnderTest, process: &Process, printer: &mut Printer) -> Result<()> {
    if plan.idle_for.is_zero() {
        return Ok(());
    }
    let (pid, place) = (server.pid(), server.path().display());
    printer.line("")?;
    printer
        .paragraph(&format!("All stay for {:?}: look around in {place}, at process {pid}", plan.idle_for))?;
    let until = Deadline::after(plan.idle_for);
    while !until.passed() {
        process.wait(&mut [], until)?;
    }
    Ok(())
}
