//! The output of `lab why`: sentences, or JSON.

use handshake_core::Result;
use pipe_watch::look::{Finding, Limit, Need, PipeWait, Snapshot, Visibility, Wait};
use serde_json::{Value, json};

use super::Found;
use super::alike::{self, Paragraph};
use super::course::remedy;
use crate::demo::printer::Printer;

/// Prints one paragraph for each thread that is stuck; if none is, one for each thread.
pub(super) fn text(found: &Found, printer: &mut Printer) -> Result<()> {
    let paragraph = |(finding, step)| Paragraph::of_finding(finding, step);
    let limits: Vec<_> = found.snapshot.limits.iter().filter(|limit| matters(limit, found)).collect();
    let stuck = found.troubles().count();
    let others = found.report.findings.len() - stuck;
    let troubles = found.troubles().map(paragraph).chain(found.deadlocks().map(Paragraph::of_deadlock));
    alike::print(troubles, printer, |printer, text| printer.verdict(false, text))?;
    if stuck > 0 {
        if others > 0 {
            printer.remark(&format!("threads that run or may go on: {others}"))?;
        }
    } else if found.snapshot.chosen.is_empty() {
        printer.remark("there is no process to look at")?;
    } else {
        alike::print(found.all().map(paragraph), printer, |printer, text| printer.remark(text))?;
        match is_sure(found) {
            true => printer.verdict(true, "no process is stuck")?,
            false => printer.remark("no process is seen to be stuck")?,
        }
    }
    limits.iter().try_for_each(|limit| printer.remark(&limit.to_string()))
}

/// Whether what the look could not see concerns a process that was asked for.
fn matters(limit: &Limit, found: &Found) -> bool {
    let Snapshot { processes, chosen, .. } = &found.snapshot;
    let is_hidden = |pid: &u32| processes.get(pid).is_some_and(|one| one.visibility == Visibility::Existence);
    let lacks_partner = |finding: &Finding| {
        partners(found, finding).is_some_and(|pids| pids.iter().all(|pid| *pid == finding.pid))
    };
    match limit {
        Limit::HiddenProcesses(_) | Limit::HiddenUsers => {
            chosen.is_empty()
                || chosen.iter().any(is_hidden)
                || found.report.findings.iter().any(lacks_partner)
        }
        _ => true,
    }
}

/// Whether the look has seen all that a "no" needs: each chosen process whole, and what it waits for.
fn is_sure(found: &Found) -> bool {
    let Snapshot { processes, chosen, .. } = &found.snapshot;
    let is_seen = |pid: &u32| processes.get(pid).is_none_or(|one| one.visibility == Visibility::All);
    let waits_for_unseen = |finding| partners(found, finding).is_some_and(|pids| pids.is_empty());
    chosen.iter().all(is_seen) && !found.report.findings.iter().any(waits_for_unseen)
}

/// The processes that can end a wait at pipes alone, without a limit. `None`: it is no such wait.
fn partners(found: &Found, finding: &Finding) -> Option<Vec<u32>> {
    let Wait::Pipes(wait) = &finding.wait else { return None };
    if wait.others > 0 || wait.limit.is_some() {
        return None;
    }
    let all = wait.needs.iter().flat_map(|need| found.snapshot.partners(need.pipe, need.access));
    Some(all.map(|(pid, _)| pid).collect())
}

/// Prints one JSON object.
pub(super) fn json(found: &Found, printer: &mut Printer) -> Result<()> {
    let findings = found.all().map(|(finding, step)| {
        json!({
            "pid": finding.pid,
            "tid": finding.tid,
            "kind": format!("{:?}", finding.kind).to_lowercase(),
            "idle": step.is_some_and(|step| step.is_idle),
            "sentence": finding.sentence,
            "step": step.map(|step| &step.text),
            "remedy": remedy(finding, step),
            "needs": finding.needs,
            "wait": wait(&found.snapshot, &finding.wait),
        })
    });
    let deadlocks = found.deadlocks().map(
        |deadlock| json!({ "pids": deadlock.pids, "sentence": deadlock.sentence, "remedy": deadlock.remedy }),
    );
    let limits = found.snapshot.limits.iter().map(ToString::to_string);
    let whole = json!({
        "format": "lab-why",
        "version": 1,
        "stuck": found.troubles().next().is_some(),
        "findings": findings.collect::<Vec<_>>(),
        "deadlocks": deadlocks.collect::<Vec<_>>(),
        "limits": limits.collect::<Vec<_>>(),
    });
    printer.line(&whole.to_string())
}

/// The call, and its pipes. `null` for a wait at no pipe.
fn wait(snapshot: &Snapshot, wait: &Wait) -> Value {
    match wait {
        Wait::Open { path, access, .. } => json!({
            "call": "open",
            "path": path.as_ref().map(|path| path.to_string_lossy()),
            "access": access.map(|access| format!("{access:?}").to_lowercase()),
        }),
        Wait::Pipes(PipeWait { call, needs, .. }) => {
            let pipes: Vec<_> = needs.iter().map(|need| pipe(snapshot, need)).collect();
            json!({ "call": call, "pipes": pipes })
        }
        _ => Value::Null,
    }
}

fn pipe(snapshot: &Snapshot, need: &Need) -> Value {
    let pipe = snapshot.pipes.get(&need.pipe);
    let fill = pipe.and_then(|pipe| pipe.fill);
    json!({
        "fd": need.fd,
        "inode": need.pipe.inode,
        "path": pipe.and_then(|pipe| pipe.path.as_ref()).map(|path| path.to_string_lossy()),
        "named": pipe.is_some_and(|pipe| pipe.is_named),
        "bytes": fill.map(|fill| fill.bytes),
        "capacity": fill.map(|fill| fill.capacity),
    })
}
