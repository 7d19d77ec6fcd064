//! Attributes are read and set.

use crate::errors::{Error, Result};
use crate::tree::Gone;
use crate::{NodeAttributes, SetAttributes, SetTime, Volume, VolumeStat};
use ossfs_ledger::NodeId;
use ossfs_types::{MODE_PERMISSION_BITS, Timestamp};

/// What `df` shows as the size of a bucket, which has no limit: what ossfs 1.x shows.
const SHOWN_BYTES: u64 = 256 << 40;
const BLOCK_BYTES: u32 = 4096;
/// What `df -i` shows as the number of files that could be made.
const SHOWN_FILES: u64 = 1 << 40;

impl Volume {
    /// What is known of a node.
    pub async fn attributes(&self, node: NodeId) -> Result<NodeAttributes> {
        match self.core.describe(node).await {
            Ok(()) => {}
            // The kernel asks by number, so the name that is gone is a file that is gone.
            Err(Error::NotFound) => return Err(Error::Stale),
            Err(error) => return Err(error),
        }
        self.core.view(&self.core.world().tree, node)
    }

    /// Sets attributes, and cuts or lengthens a file.
    pub async fn set_attributes(&self, node: NodeId, set: SetAttributes) -> Result<NodeAttributes> {
        let core = &self.core;
        core.writable()?;
        core.describe(node).await?;
        if let Some(size) = set.size {
            core.set_size(node, size).await?;
        }
        let others = SetAttributes { size: None, ..set };
        if others == SetAttributes::default() {
            return core.view(&core.world().tree, node);
        }
        core.change(|world| {
            let now = core.clock.now();
            let known = world.tree.node(node).and_then(|node| node.attributes).ok_or(Error::Stale)?;
            let time = |set: Option<SetTime>, old: Timestamp| match set {
                None => old,
                Some(SetTime::Now) => now,
                Some(SetTime::At(time)) => time,
            };
            let mut attributes = known;
            attributes.mode = set.mode.map_or(known.mode, |mode| mode & MODE_PERMISSION_BITS);
            attributes.uid = set.uid.unwrap_or(known.uid);
            attributes.gid = set.gid.unwrap_or(known.gid);
            attributes.atime = time(set.atime, known.atime);
            attributes.mtime = time(set.mtime, known.mtime);
            attributes.ctime = now;
            world.tree.set_attributes(node, attributes).map_err(|Gone| Error::Stale)
        })?;
        core.recorded()?;
        core.view(&core.world().tree, node)
    }

    /// Sizes of the volume.
    pub fn stat(&self) -> VolumeStat {
        let blocks = SHOWN_BYTES / u64::from(BLOCK_BYTES);
        VolumeStat {
            block_bytes: BLOCK_BYTES,
            blocks,
            blocks_free: blocks,
            files: SHOWN_FILES,
            files_free: SHOWN_FILES,
            name_bytes_max: 255,
        }
    }
}
