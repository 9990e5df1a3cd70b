//! What one turn of a process may cost, before it looks at signals and at everybody else again. Look-ups
//! of names are charged to one of these before they are made.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Clients that a server takes out of its queue in one turn: 16 forks take some 3 ms.
pub const CLIENTS_A_TURN: usize = 16;

pub use handshake_fifo::wait::SIGNALS_WITHIN;

/// How often a server looks whether the well-known name and its lock file are still its own: often enough to
/// notice within a second that they were removed.
pub const LOOK_AFTER: Duration = Duration::from_millis(500);

/// The same after they were not: whoever removes or locks a name once often does so again.
pub const LOOK_AFTER_TROUBLE: Duration = Duration::from_millis(40);

/// How long it looks so often after the last time.
pub const TROUBLE: Duration = Duration::from_secs(10);

/// Names that a server looks up for what one well-known pipe brought: 4,096 take some 6 ms.
pub const LOOKUPS_A_PIPE: usize = 4096;

/// Names that a process looks up for what one read of a session brought: one for each byte, but at least and at most so
/// many. What is read of one pipe in one go brings no more than [`LOOKUPS_A_PIPE`].
pub const LOOKUPS_A_READ: RangeInclusive<usize> = 64..=1024;

/// How long a pipe that no client has is kept for somebody who has it open, and may be about to write its name: such
/// programs write it right after the open.
pub const NAME_WITHIN: Duration = Duration::from_secs(2);

/// How often a process tries once more to open the private pipes of clients that are to be turned away, in a
/// second, all together: each takes some 3 us.
pub const NOTICES_A_SECOND: u32 = 5000;
