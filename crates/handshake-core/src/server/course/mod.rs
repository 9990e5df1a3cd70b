//! The server's side of the course dialect (docs/course-dialect.md).
//!
//! Reading order: [`names`], the clients that the bytes in a well-known pipe mean; [`open`], their acknowledgement; `split`,
//! where a record ends; `messages`, records made of what they write. Several at one pipe: `foreign`, names in a pipe that
//! another client has; [`queue`], where those clients wait; [`used_pipe`], when the other one has left; `late_clients`, which
//! cannot be served. `client_process` is what can be seen of a client from outside.

pub(crate) mod client_process;
pub(crate) mod foreign;
pub(crate) mod late_clients;
pub(crate) mod messages;
pub(crate) mod names;
pub mod open;
pub mod queue;
pub mod used_pipe;
