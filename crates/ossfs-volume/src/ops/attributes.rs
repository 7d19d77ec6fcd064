//! Attributes are read and set.

use crate::errors::{Error, Result};
use crate::tree::{Gone, Node};
use crate::{NodeAttributes, SetAttributes, SetTime, Volume, VolumeStat};
use ossfs_ledger::NodeId;
use ossfs_types::{Attributes, MODE_PERMISSION_BITS, Timestamp};

/// What `df` shows as the size of a bucket, which has no limit: what ossfs 1.x shows.
const SHOWN_BYTES: u64 = 256 << 40;
const BLOCK_BYTES: u32 = 4096;
/// What `df -i` shows as the number of files that could be made.
const SHOWN_FILES: u64 = 1 << 40;

impl Volume {
    /// What is known of a node.
    pub async fn attributes(&self, node: NodeId) -> Result<NodeAttributes> {
        self.core.described_view(node).await.map_err(Error::by_number)
    }

    /// Sets attributes, and cuts or lengthens a file.
    pub async fn set_attributes(&self, node: NodeId, set: SetAttributes) -> Result<NodeAttributes> {
        let core = &self.core;
        core.writable()?;
        core.describe(node).await?;
        if let Some(size) = set.size {
            let changed = core.set_size(node, size).await?;
            if let Some(handle) = set.handle.filter(|_| changed) {
                core.world().set_wrote(handle);
            }
            if set.drop_privileges {
                self.drop_privileges(node);
            }
            core.change(|world| core.record_without_bytes(world, node));
        }
        let directory = core.world().tree.node(node).is_some_and(Node::is_directory);
        let drop_privileges = set.drop_privileges && set.size.is_none() && !directory;
        let others = SetAttributes { size: None, handle: None, drop_privileges, ..set };
        if others == SetAttributes::default() {
            return core.described_view(node).await;
        }
        let set = core.with_attributes(node, |world| {
            let now = core.clock.now();
            let known = world.tree.node(node).and_then(|node| node.attributes).ok_or(Error::Stale)?;
            let time = |set: Option<SetTime>, old: Timestamp| match set {
                None => old,
                Some(SetTime::Now) => now,
                Some(SetTime::At(time)) => time,
            };
            let mut attributes = known;
            let drops = !directory && (set.drop_privileges || set.uid.is_some() || set.gid.is_some());
            let mode = if drops { without_privileges(known.mode) } else { known.mode };
            attributes.mode = set.mode.map_or(mode, |mode| mode & MODE_PERMISSION_BITS);
            attributes.uid = set.uid.unwrap_or(known.uid);
            attributes.gid = set.gid.unwrap_or(known.gid);
            attributes.atime = time(set.atime, known.atime);
            attributes.mtime = time(set.mtime, known.mtime);
            attributes.ctime = now;
            world.tree.set_attributes(node, attributes).map_err(|Gone| Error::Stale)?;
            core.view(&world.tree, node)
        });
        let view = set.await?;
        core.recorded()?;
        Ok(view)
    }

    /// Somebody changes the content who may not pass on what set-user-id and set-group-id allow: they are taken away.
    pub fn drop_privileges(&self, node: NodeId) {
        let privileged = |attributes: &Attributes| without_privileges(attributes.mode) != attributes.mode;
        let attributes = {
            let world = self.core.world();
            let node = world.tree.node(node).filter(|node| !node.is_directory());
            node.and_then(|node| node.attributes).filter(privileged)
        };
        // Nearly always there is nothing to take away, and nothing to commit.
        if attributes.is_none() {
            return;
        }
        self.core.change(|world| {
            let Some(mut attributes) = world.tree.node(node).and_then(|node| node.attributes) else { return };
            attributes.mode = without_privileges(attributes.mode);
            // What is gone meanwhile has no privileges.
            let _ = world.tree.set_attributes(node, attributes);
        });
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

/// Permission bits without those that let others act for the owner or the group. Without the group's execute bit,
/// set-group-id is no such thing, and Linux leaves it.
fn without_privileges(mode: u32) -> u32 {
    const SET_USER_ID: u32 = 0o4000;
    const SET_GROUP_ID: u32 = 0o2000;
    const GROUP_EXECUTE: u32 = 0o010;
    let dropped = if mode & GROUP_EXECUTE != 0 { SET_USER_ID | SET_GROUP_ID } else { SET_USER_ID };
    mode & !dropped
}

#[cfg(test)]
mod tests {
    use super::without_privileges;

    #[test]
    fn set_group_id_without_execute_is_no_privilege() {
        assert_eq!(without_privileges(0o6755), 0o755);
        assert_eq!(without_privileges(0o6745), 0o2745);
        assert_eq!(without_privileges(0o1777), 0o1777);
    }
}
