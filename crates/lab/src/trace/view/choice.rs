//! Which events are shown: those of chosen pipes and processes, and their partners.

use pipe_watch::timeline::Timeline;

/// What to show.
#[derive(Debug, Clone)]
pub(in crate::trace) struct Choice {
    /// Only these pipes and processes; all, if there are none.
    pub(in crate::trace) only: Vec<String>,
    /// Not this process, nor the pipes that it has.
    pub(in crate::trace) hidden: Option<u32>,
    pub(in crate::trace) folds: bool,
    /// The most events.
    pub(in crate::trace) most: usize,
}

impl Choice {
    /// The same choice of all processes and pipes.
    pub(in crate::trace) fn of_all(&self) -> Self {
        Self { only: Vec::new(), ..self.clone() }
    }

    /// Which events are shown.
    ///
    /// # Errors
    /// A pipe or process that is not in the timeline.
    pub(in crate::trace) fn shown(&self, timeline: &Timeline) -> Result<Vec<bool>, String> {
        let mut is_shown = chosen(timeline, &self.only)?;
        add_partners(timeline, &mut is_shown);
        if let Some(lane) = timeline.lanes.iter().position(|lane| Some(lane.pid) == self.hidden) {
            let is_its = |pipe: usize| timeline.pipes[pipe].holds.iter().any(|hold| hold.lane == lane);
            for (event, is_shown) in is_shown.iter_mut().enumerate() {
                *is_shown &= timeline.lane_of[event] != lane && !timeline.pipe_of[event].is_some_and(is_its);
            }
        }
        Ok(is_shown)
    }
}

/// Adds the other ends of arrows, and what ended waits.
fn add_partners(timeline: &Timeline, is_shown: &mut [bool]) {
    let chosen = is_shown.to_vec();
    for arrow in timeline.arrows.iter().filter(|arrow| chosen[arrow.from] || chosen[arrow.to]) {
        (is_shown[arrow.from], is_shown[arrow.to]) = (true, true);
    }
    let ended = timeline.waits.iter().filter(|wait| chosen[wait.event]).filter_map(|wait| wait.ended_by);
    ended.for_each(|by| is_shown[by] = true);
}

/// Which events concern the chosen pipes and processes.
fn chosen(timeline: &Timeline, only: &[String]) -> Result<Vec<bool>, String> {
    if only.is_empty() {
        return Ok(vec![true; timeline.events.len()]);
    }
    let mut is_shown = vec![false; timeline.events.len()];
    for one in only {
        let lanes: Vec<usize> = (0..timeline.lanes.len())
            .filter(|lane| {
                let lane = &timeline.lanes[*lane];
                lane.title == *one || lane.names.contains(one) || lane.pid.to_string() == *one
            })
            .collect();
        let pipes: Vec<usize> = (0..timeline.pipes.len())
            .filter(|pipe| {
                let pipe = &timeline.pipes[*pipe];
                pipe.label == *one
                    || pipe.names.iter().any(|name| name == one || name.ends_with(&format!("/{one}")))
            })
            .collect();
        if lanes.is_empty() && pipes.is_empty() {
            let titles = timeline.lanes.iter().map(|lane| lane.title.as_str());
            let labels = timeline.pipes.iter().map(|pipe| pipe.label.as_str());
            let all: Vec<&str> = titles.chain(labels).take(20).collect();
            return Err(format!("no process or pipe is called {one:?}; there are: {}", all.join(", ")));
        }
        for (event, is_shown) in is_shown.iter_mut().enumerate() {
            let at_pipe = timeline.pipe_of[event].is_some_and(|pipe| pipes.contains(&pipe))
                || timeline.pipe_to_of(event).is_some_and(|pipe| pipes.contains(&pipe));
            *is_shown |= at_pipe || lanes.contains(&timeline.lane_of[event]);
        }
    }
    Ok(is_shown)
}
