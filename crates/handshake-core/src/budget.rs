//! What one turn of a process may cost before it checks signals and other clients again. Look-ups of names
//! are charged to a budget before they are made.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Clients that a server takes out of its queue in one turn: 2 forks take less than 0.5 ms.
pub const CLIENTS_A_TURN: usize = 2;

/// How often a server checks that the well-known name and its lock file are still its own. A removal is
/// noticed within a second.
pub const LOOK_AFTER: Duration = Duration::from_millis(500);

/// How often a server checks after such a loss: a process that removes or locks a name once often does so
/// again.
pub const LOOK_AFTER_TROUBLE: Duration = Duration::from_millis(5);

/// How long after the last loss the server checks more often.
pub const TROUBLE: Duration = Duration::from_secs(10);

/// Names that a server looks up for one well-known pipe: 4,096 take some 6 ms.
pub const LOOKUPS_A_PIPE: usize = 4096;

/// Names that a process looks up for one read of a session: one for each byte, within these bounds. One batch
/// of reads from a pipe gets at most [`LOOKUPS_A_PIPE`].
pub const LOOKUPS_A_READ: RangeInclusive<usize> = 64..=1024;

/// How long the server keeps a pipe without a client open. A process that has it open may be about to write
/// its name. Such programs write right after the open.
pub const NAME_WITHIN: Duration = Duration::from_secs(2);

/// How many attempts per second, all together, a process makes to open the private pipes of late clients.
/// Each takes some 3 us.
pub const NOTICES_A_SECOND: u32 = 5000;
