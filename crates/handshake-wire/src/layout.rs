//! The numbers of the wire, in the order and by the names of docs/protocol.md.

/// The first bytes of every frame. NUL comes first, which no text name does, and the fourth byte is not 0,
/// which no 4-byte process number is.
pub const MAGIC: [u8; 4] = *b"\0WKP";
/// What this version of the protocol calls itself in HELLO and ACK.
pub const VERSION: u16 = 2;
/// Bytes of a header.
pub const HEADER: usize = 28;
/// The last byte of every frame. The magic does not have it, so no frame ends with the beginning of a
/// magic.
pub const END: u8 = b'\n';
/// Bytes of a frame that carries nothing.
pub const OVERHEAD: usize = HEADER + 1;
/// The longest frame: PIPE_BUF on Linux, so that one write of it is never mixed with another's (pipe(7)).
pub const FRAME_MAX: usize = 4096;
/// The most payload in a frame; a longer message takes several.
pub const PAYLOAD_MAX: usize = FRAME_MAX - OVERHEAD;
/// The longest HELLO: the least PIPE_BUF that POSIX allows.
pub const HELLO_MAX: usize = 512;
/// The longest name of a pipe: NAME_MAX on all file systems that matter.
pub const NAME_MAX: usize = 255;
