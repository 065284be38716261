//! The paged KV cache: fixed-size blocks, reference counts, prefix caching by
//! chained block hash and eviction of the least recently freed block.
//!
//! A block's contents are never stored. A full block is identified by the hash of
//! its tokens *and* of all tokens before them, so two sequences share it exactly if
//! their prefixes are equal. A block that no sequence holds keeps its hash in the
//! free list: a cache hit reuses it, an allocation evicts it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Index of a block in its pool.
pub type BlockId = u32;

/// Hash of a full block's tokens, chained to the hash of the block before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockHash(u64);

impl BlockHash {
    /// Hash of `tokens` that follow the block hashed as `parent` (`None`: the sequence starts here).
    pub fn chain(parent: Option<BlockHash>, tokens: &[u32]) -> BlockHash {
        // `DefaultHasher::new` has fixed keys, so equal prompts have equal hashes in every run.
        let mut hasher = DefaultHasher::new();
        parent.hash(&mut hasher);
        tokens.hash(&mut hasher);
        BlockHash(hasher.finish())
    }
}

/// "No block" in the free list's links.
const NIL: BlockId = BlockId::MAX;

#[derive(Clone, Debug)]
struct KvBlock {
    references: u32,
    hash: Option<BlockHash>,
    previous: BlockId,
    next: BlockId,
}

/// All KV blocks of one simulated GPU (or tensor-parallel group).
#[derive(Clone, Debug)]
pub struct BlockPool {
    block_size: usize,
    prefix_caching: bool,
    blocks: Vec<KvBlock>,
    /// Doubly linked free list, least recently freed first.
    free_head: BlockId,
    free_tail: BlockId,
    free_count: usize,
    cached: HashMap<BlockHash, BlockId>,
}

impl BlockPool {
    /// Creates a pool of `count` free blocks of `block_size` tokens each.
    ///
    /// `block_size` 0 is treated as 1, and `count` is capped at `u32::MAX - 1`.
    pub fn new(count: usize, block_size: usize, prefix_caching: bool) -> BlockPool {
        let count = count.min(NIL as usize - 1);
        let mut pool = BlockPool {
            block_size: block_size.max(1),
            prefix_caching,
            blocks: vec![
                KvBlock {
                    references: 0,
                    hash: None,
                    previous: NIL,
                    next: NIL
                };
                count
            ],
            free_head: NIL,
            free_tail: NIL,
            free_count: 0,
            cached: HashMap::new(),
        };
        for id in 0..count {
            pool.push_free(id as BlockId);
        }
        pool
    }

    /// Tokens per block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Blocks in the pool.
    pub fn total(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that no sequence holds.
    pub fn free(&self) -> usize {
        self.free_count
    }

    /// Share of blocks held by sequences, 0 to 1.
    pub fn usage(&self) -> f64 {
        if self.blocks.is_empty() {
            return 0.0;
        }
        (self.total() - self.free_count) as f64 / self.total() as f64
    }

    /// Blocks needed for `tokens` tokens.
    pub fn blocks_for(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.block_size)
    }

    /// The number of leading `hashes` that are in the cache.
    pub fn cached_prefix(&self, hashes: &[BlockHash]) -> usize {
        if !self.prefix_caching {
            return 0;
        }
        hashes
            .iter()
            .take_while(|hash| self.cached.contains_key(hash))
            .count()
    }

    /// The number of the cached blocks `hashes` that are in the free list: holding them
    /// leaves that many fewer blocks for allocation.
    pub fn idle_among(&self, hashes: &[BlockHash]) -> usize {
        let idle = |hash: &&BlockHash| {
            self.cached
                .get(hash)
                .is_some_and(|&id| self.blocks[id as usize].references == 0)
        };
        hashes.iter().filter(idle).count()
    }

    /// Takes a reference to each cached block of `hashes`, in order, until one is missing.
    pub fn hold_cached(&mut self, hashes: &[BlockHash], held: &mut Vec<BlockId>) {
        for hash in hashes {
            let Some(&id) = self.cached.get(hash) else {
                return;
            };
            if self.blocks[id as usize].references == 0 {
                self.unlink_free(id);
            }
            self.blocks[id as usize].references += 1;
            held.push(id);
        }
    }

    /// Appends `count` new blocks to `held`, evicting cached ones that no sequence
    /// holds. Returns `false`, without a change, if there are too few.
    pub fn allocate(&mut self, count: usize, held: &mut Vec<BlockId>) -> bool {
        if count > self.free_count {
            return false;
        }
        for _ in 0..count {
            let id = self.free_head;
            self.unlink_free(id);
            let block = &mut self.blocks[id as usize];
            block.references = 1;
            if let Some(hash) = block.hash.take() {
                self.cached.remove(&hash);
            }
            held.push(id);
        }
        true
    }

    /// Adds a block whose tokens are all computed to the cache, under `hash`.
    ///
    /// A block that is already cached under `hash` stays.
    pub fn publish(&mut self, id: BlockId, hash: BlockHash) {
        if !self.prefix_caching {
            return;
        }
        let block = &mut self.blocks[id as usize];
        if block.hash.is_none() && !self.cached.contains_key(&hash) {
            block.hash = Some(hash);
            self.cached.insert(hash, id);
        }
    }

    /// Releases the blocks of a sequence, given in the order of its tokens.
    ///
    /// The last block is freed first, so that a prefix stays cached longer than its continuation.
    pub fn release(&mut self, held: &mut Vec<BlockId>) {
        while let Some(id) = held.pop() {
            let block = &mut self.blocks[id as usize];
            block.references = block
                .references
                .checked_sub(1)
                .expect("a block is released only by a sequence that holds it");
            if block.references == 0 {
                self.push_free(id);
            }
        }
    }

    fn push_free(&mut self, id: BlockId) {
        let tail = self.free_tail;
        let block = &mut self.blocks[id as usize];
        block.previous = tail;
        block.next = NIL;
        match tail {
            NIL => self.free_head = id,
            tail => self.blocks[tail as usize].next = id,
        }
        self.free_tail = id;
        self.free_count += 1;
    }

    fn unlink_free(&mut self, id: BlockId) {
        let KvBlock { previous, next, .. } = self.blocks[id as usize];
        match previous {
            NIL => self.free_head = next,
            previous => self.blocks[previous as usize].next = next,
        }
        match next {
            NIL => self.free_tail = previous,
            next => self.blocks[next as usize].previous = previous,
        }
        self.free_count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(blocks: &[[u32; 2]]) -> Vec<BlockHash> {
        let mut parent = None;
        let chain = |tokens| {
            parent = Some(BlockHash::chain(parent, tokens));
            parent
        };
        blocks.iter().map(|b| &b[..]).filter_map(chain).collect()
    }

    #[test]
    fn equal_tokens_after_a_different_prefix_are_another_block() {
        let a = hashes(&[[1, 2], [5, 6]]);
        let b = hashes(&[[3, 4], [5, 6]]);
        assert_ne!(a[1], b[1]);
        assert_eq!(a, hashes(&[[1, 2], [5, 6]]));
    }

    #[test]
    fn a_released_block_is_found_again_until_it_is_evicted() {
        let mut pool = BlockPool::new(3, 2, true);
        let names = hashes(&[[1, 2], [3, 4]]);
        let mut held = Vec::new();
        assert!(pool.allocate(2, &mut held));
        pool.publish(held[0], names[0]);
        pool.publish(held[1], names[1]);
        pool.release(&mut held);
        assert_eq!((pool.free(), pool.cached_prefix(&names)), (3, 2));

        // The never-used third block goes first, then the tail of the prefix.
        assert!(pool.allocate(2, &mut held));
        assert_eq!(pool.cached_prefix(&names), 1);
        pool.release(&mut held);
        pool.hold_cached(&names[..1], &mut held);
        assert_eq!((held.len(), pool.free()), (1, 2));
    }

    #[test]
    fn a_shared_block_is_free_only_after_both_release_it() {
        let mut pool = BlockPool::new(2, 2, true);
        let names = hashes(&[[1, 2]]);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        assert!(pool.allocate(1, &mut first));
        pool.publish(first[0], names[0]);
        pool.hold_cached(&names, &mut second);
        assert_eq!(first, second);
        pool.release(&mut first);
        assert_eq!(pool.free(), 1);
        pool.release(&mut second);
        assert_eq!((pool.free(), pool.usage()), (2, 0.0));
    }

    #[test]
    fn an_allocation_that_does_not_fit_changes_nothing() {
        let mut pool = BlockPool::new(2, 4, true);
        let mut held = Vec::new();
        assert!(!pool.allocate(3, &mut held));
        assert_eq!((held.len(), pool.free()), (0, 2));
    }

    #[test]
    fn without_prefix_caching_nothing_is_found() {
        let mut pool = BlockPool::new(2, 2, false);
        let names = hashes(&[[1, 2]]);
        let mut held = Vec::new();
        assert!(pool.allocate(1, &mut held));
        pool.publish(held[0], names[0]);
        assert_eq!(pool.cached_prefix(&names), 0);
    }
}
