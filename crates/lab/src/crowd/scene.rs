//! What happens, one after the other: all come, are looked at, more come, all leave.

use handshake_core::deadline::{Deadline, now};
use handshake_core::error::Result;
use handshake_core::process::Process;
use load::Report;

use super::Plan;
use super::late::let_more_come;
use super::load::{Load, PATIENCE, Stay, await_reports};
use super::memory::{Machine, Memory};
use super::verdict::Seen;
use crate::demo::voice::Voice;
use crate::house::{House, Look};

/// How wide the names of what is told are.
const NAMES: usize = 24;

/// Plays it.
///
/// # Errors
/// [`handshake_core::Error::Lost`]: the server has ended by itself. [`handshake_core::Error::Signal`]. A process cannot be started.
pub(super) fn play(
    plan: &Plan,
    house: &mut House,
    process: &Process,
    seen: &mut Seen,
    voice: &mut Voice,
) -> Result<()> {
    let before = house.at_rest(process, None)?;
    let machine = Machine::now();
    let mut loads = all_come(plan, house, process, seen, voice)?;
    // At first: what is looked up in /proc costs the kernel memory, too.
    let machine = (machine, Machine::now());
    let full = house.look();
    tell_server(plan, (&before, &full), voice)?;
    let pids: Vec<u32> = loads.iter().map(Load::pid).collect();
    tell_memory(&Memory::of(plan.clients, machine, &full.subservers, &pids), voice)?;
    seen.full = Some(full);
    stay(plan, house, process, voice)?;
    if plan.beyond > 0 {
        seen.late = Some(let_more_come(plan.beyond, &mut loads[0], house, process)?);
    }
    for load in &mut loads {
        load.leave();
    }
    for mut load in loads {
        seen.load_ended(load.end(process)?);
    }
    seen.after = Some(house.at_rest(process, Some(&before))?);
    seen.before = Some(before);
    Ok(())
}

/// All clients come at once, and stay.
fn all_come(
    plan: &Plan,
    house: &mut House,
    process: &Process,
    seen: &mut Seen,
    voice: &mut Voice,
) -> Result<Vec<Load>> {
    let began = now();
    let start = |share: usize| Load::start(house, share, Stay::UntilTold);
    let mut loads = plan.shares().into_iter().map(start).collect::<Result<Vec<_>>>()?;
    await_reports(&mut loads, Deadline::after(2 * PATIENCE), house, process)?;
    let seconds = (now() - began).as_secs_f64();
    loads.iter().try_for_each(|load| voice.line(&format!("$ {}", load.words)))?;
    seen.reports = loads.iter().filter_map(Load::report).collect();
    tell_clients(plan, seconds, loads.len(), &seen.reports, voice)?;
    Ok(loads)
}

fn tell_clients(
    plan: &Plan,
    seconds: f64,
    loads: usize,
    reports: &[Report],
    voice: &mut Voice,
) -> Result<()> {
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    let (answered, wrong) = (sum(|report| report.requests), sum(|report| report.mismatches));
    let lost = (plan.clients as u64).saturating_sub(answered);
    let records = sum(|report| report.handshake_records);
    let own: Vec<String> = reports.iter().map(|report| format!("{:.3} s", report.connect_seconds)).collect();
    voice.line("")?;
    row("clients", format!("{} in {loads} processes", plan.clients), voice)?;
    let all = format!("in {seconds:.3} s, from the start of these processes to the last reply");
    row("connected", all, voice)?;
    let own =
        format!("by itself: {}, from its first handshake's beginning to its last READY", own.join(", "));
    row("  each process", own, voice)?;
    let right = answered.saturating_sub(wrong);
    row("replies", format!("{right} right, {lost} lost, {wrong} wrong"), voice)?;
    let each = records as f64 / plan.clients as f64;
    row("handshake records", format!("{records}, {each:.2} a client"), voice)
}

fn tell_server(plan: &Plan, (before, full): (&Look, &Look), voice: &mut Voice) -> Result<()> {
    let (had, has) = (before.descriptors.len(), full.descriptors.len());
    let each = (has as f64 - had as f64) / plan.clients as f64;
    row("server's descriptors", format!("{has}; {had} without clients, {each:.2} more a client"), voice)?;
    let subservers = full.subservers.len();
    row("server's processes", format!("{}: itself and {subservers} subservers", subservers + 1), voice)
}

fn tell_memory(memory: &Memory, voice: &mut Voice) -> Result<()> {
    voice.line("\nMemory of an idle client, in KiB, all kernel memory counted:")?;
    for (name, kib, what) in memory.rows() {
        row(&format!("  {name}"), format!("{kib:>7.1}  {what}").trim_end().to_owned(), voice)?;
    }
    voice.paragraph(
        "What comes from /proc/meminfo are differences of the whole machine: other programs disturb them.",
    )
}

fn row(name: &str, value: String, voice: &mut Voice) -> Result<()> {
    voice.line(&format!("{name:<NAMES$}{value}"))
}

/// All are idle for a while.
fn stay(plan: &Plan, house: &House, process: &Process, voice: &mut Voice) -> Result<()> {
    if plan.idle_for.is_zero() {
        return Ok(());
    }
    let (pid, place) = (house.pid(), house.path().display());
    voice.line("")?;
    voice
        .paragraph(&format!("All stay for {:?}: look around in {place}, at process {pid}", plan.idle_for))?;
    let until = Deadline::after(plan.idle_for);
    while !until.passed() {
        process.wait(&mut [], until)?;
    }
    Ok(())
}
