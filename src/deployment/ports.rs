//! Ports for servers that will be started.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Every port that this process has assigned to a server.
static ASSIGNED: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A free port, reserved until it is released.
pub(super) struct Port {
    number: u16,
    listener: TcpListener,
}

impl Port {
    /// Reserves a free port that was never assigned before.
    ///
    /// # Errors
    /// The error of the system, if no port is free.
    pub fn reserve() -> io::Result<Port> {
        let mut assigned = ASSIGNED.lock().unwrap_or_else(PoisonError::into_inner);
        let assigned = assigned.get_or_insert_default();
        // Ports assigned before are held until another is found, or the system could return the same port again.
        let mut known = Vec::new();
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let number = listener.local_addr()?.port();
            if assigned.insert(number) {
                return Ok(Port { number, listener });
            }
            known.push(listener);
        }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// Frees the port for the server that is started next.
    pub fn release(self) -> u16 {
        drop(self.listener);
        self.number
    }
}

/// Whether a process listens on a port of this machine.
pub(super) fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_never_assigned_twice() {
        let mut seen = HashSet::new();
        for _ in 0..50 {
            let port = Port::reserve().unwrap();
            assert!(is_taken(port.number()));
            let number = port.release();
            assert!(seen.insert(number), "{number} twice");
        }
    }
}
