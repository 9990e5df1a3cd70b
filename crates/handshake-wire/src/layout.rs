//! The numbers of the wire, in the order and under the names of docs/protocol.md.

/// The first bytes of every frame. No text name begins with NUL, and no 4-byte PID has a fourth byte other
/// than 0.
pub const MAGIC: [u8; 4] = *b"\0WKP";
/// This version of the protocol, as sent in HELLO and ACK.
pub const VERSION: u16 = 2;
/// Bytes of a header.
pub const HEADER: usize = 28;
/// The last byte of every frame. The magic does not contain it, so no frame ends with the beginning of a
/// magic.
pub const END: u8 = b'\n';
/// Bytes of a frame with an empty payload.
pub const OVERHEAD: usize = HEADER + 1;
/// The longest frame: PIPE_BUF on Linux. The kernel never mixes one write of this size with another one
/// (pipe(7)).
pub const FRAME_MAX: usize = 4096;
/// The longest payload of one frame. A longer message takes several frames.
pub const PAYLOAD_MAX: usize = FRAME_MAX - OVERHEAD;
/// The longest HELLO: the smallest PIPE_BUF that POSIX allows.
pub const HELLO_MAX: usize = 512;
/// The longest name of a pipe: NAME_MAX on all common file systems.
pub const NAME_MAX: usize = 255;
