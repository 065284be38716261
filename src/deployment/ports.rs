//! Ports for servers that are about to be started.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Every port that this process has given to a server.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port that is free, and kept so until it is released.
pub(super) struct Port {
    number: u16,
    listener: TcpListener,
}

impl Port {
    /// A free port that was never given before.
    ///
    /// # Errors
    /// The system's, when it has none.
    pub fn reserve() -> io::Result<Port> {
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        let given = given.get_or_insert_default();
        // What was given before is held until another is found, else the system might name it again.
        let mut known = Vec::new();
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let number = listener.local_addr()?.port();
            if given.insert(number) {
                return Ok(Port { number, listener });
            }
            known.push(listener);
        }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// Lets the port go, for the server that is started next.
    pub fn release(self) -> u16 {
        drop(self.listener);
        self.number
    }
}

/// Whether somebody listens on a port of this machine.
pub(super) fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_never_given_twice() {
        let mut seen = HashSet::new();
        for _ in 0..50 {
            let port = Port::reserve().unwrap();
            assert!(is_taken(port.number()));
            let number = port.release();
            assert!(seen.insert(number), "{number} twice");
        }
    }
}
