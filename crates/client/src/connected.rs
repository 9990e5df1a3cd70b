//! The methods that a conversation needs of a connection, in either dialect.

use std::os::fd::BorrowedFd;

use handshake_core::client::course;
use handshake_core::client::session::{self as framed, Answer};
use handshake_core::error::{Error, Length, Result};

/// A connection to a server, which never blocks. [`framed::ClientSession`] documents each method.
#[expect(missing_docs, reason = "the connections say what each does")]
#[expect(clippy::missing_errors_doc, reason = "the connections say which")]
#[expect(clippy::wrong_self_convention, reason = "`from` and `to` are the ways that the pipes go")]
pub trait Connected {
    fn unanswered(&self) -> usize;
    fn limit_messages(&mut self, bytes: usize);
    fn longest(&self) -> usize;
    fn too_long(&self, length: Length) -> Error;
    fn may_send(&self, bytes: usize) -> bool;
    fn send(&mut self, message: &[u8]) -> Result<u32>;
    fn flush(&mut self) -> Result<()>;
    fn is_flushed(&self) -> bool;
    fn is_read(&self) -> bool;
    fn read(&mut self) -> Result<()>;
    fn answer(&mut self, reply: &mut Vec<u8>) -> Result<Answer>;
    fn bye(self);
    fn from_server(&self) -> BorrowedFd<'_>;
    fn to_server(&self) -> BorrowedFd<'_>;
}

/// Forwards each method of the trait to the connection's own method of that name.
macro_rules! connected {
    ($connection:ty) => {
        impl Connected for $connection {
            fn unanswered(&self) -> usize {
                <$connection>::unanswered(self)
            }
            fn limit_messages(&mut self, bytes: usize) {
                <$connection>::limit_messages(self, bytes);
            }
            fn longest(&self) -> usize {
                <$connection>::longest(self)
            }
            fn too_long(&self, length: Length) -> Error {
                <$connection>::too_long(self, length)
            }
            fn may_send(&self, bytes: usize) -> bool {
                <$connection>::may_send(self, bytes)
            }
            fn send(&mut self, message: &[u8]) -> Result<u32> {
                <$connection>::send(self, message)
            }
            fn flush(&mut self) -> Result<()> {
                <$connection>::flush(self)
            }
            fn is_flushed(&self) -> bool {
                <$connection>::is_flushed(self)
            }
            fn is_read(&self) -> bool {
                <$connection>::is_read(self)
            }
            fn read(&mut self) -> Result<()> {
                <$connection>::read(self)
            }
            fn answer(&mut self, reply: &mut Vec<u8>) -> Result<Answer> {
                <$connection>::answer(self, reply)
            }
            fn bye(self) {
                <$connection>::bye(self);
            }
            fn from_server(&self) -> BorrowedFd<'_> {
                <$connection>::from_server(self)
            }
            fn to_server(&self) -> BorrowedFd<'_> {
                <$connection>::to_server(self)
            }
        }
    };
}

connected!(framed::ClientSession);
connected!(course::CourseSession);
