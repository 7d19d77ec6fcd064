//! Two names trade what stands at them, in one transaction.

use super::LOOKS_MAX;
use super::lookup::Known;
use super::times::moved;
use crate::Volume;
use crate::errors::{Error, Result};
use crate::tree::{Gone, Node};
use ossfs_ledger::{Name, NodeId};
use std::ffi::OsStr;

impl Volume {
    /// Lets two names trade what stands at them: files, directories, or one of each.
    pub async fn exchange(&self, parent: NodeId, name: &OsStr, other_parent: NodeId, other_name: &OsStr) -> Result<()> {
        let core = &self.core;
        core.writable()?;
        let name = core.valid_name(parent, name)?;
        let other_name = core.valid_name(other_parent, other_name)?;
        for _ in 0..LOOKS_MAX {
            let (one, other) =
                match (core.resolve_name(parent, name).await?, core.resolve_name(other_parent, other_name).await?) {
                    (Known::Missing(_), _) | (_, Known::Missing(_)) => return Err(Error::NotFound),
                    (Known::Node(one), Known::Node(other)) => (one, other),
                    _ => continue,
                };
            if one == other {
                return Ok(());
            }
            if !core.knows_all_names(parent, name, one).await?
                || !core.knows_all_names(other_parent, other_name, other).await?
            {
                continue;
            }
            let directory = |id| core.world().tree.node(id).is_some_and(Node::is_directory);
            core.check_move(one, directory(one), other_parent, other_name).await?;
            core.check_move(other, directory(other), parent, name).await?;
            // The name that is given up next takes the version before with it.
            core.keep_before_replacing(one).await?;
            core.keep_before_replacing(other).await?;
            let exchanged = core.change(|world| {
                let tree = &mut world.tree;
                if tree.child(parent, name) != Some(one) || tree.child(other_parent, other_name) != Some(other) {
                    return Err(Gone);
                }
                let (name, other_name): (Name, Name) = (name.into(), other_name.into());
                tree.exchange((parent, &name), (other_parent, &other_name))?;
                moved(tree, [parent, other_parent], [Some(one), Some(other)], core.clock.now());
                Ok(())
            });
            match exchanged {
                Ok(()) => return core.recorded(),
                Err(Gone) => {
                    core.look_anew(parent, name);
                    core.look_anew(other_parent, other_name);
                }
            }
        }
        Err(Error::Failed)
    }
}
