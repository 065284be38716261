use std::cell::RefCell;

/// Most bytes of one read, and so the longest head of a request or response.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFERS: RefCell<[Box<[u8]>; 2]> =
        RefCell::new([(); 2].map(|()| vec![0; BUFFER_BYTES].into()));
}

/// Calls `use_them` with this thread's buffers, for reading and for decoding; no await may be inside.
pub(super) fn with_buffers<T>(use_them: impl FnOnce(&mut [u8], &mut [u8]) -> T) -> T {
    BUFFERS.with_borrow_mut(|[read, decoded]| use_them(read, decoded))
}
