//! Uploads that were begun and whose id nobody noted, because whoever asked for them was killed before the answer.
//!
//! OSS tells of an open upload its key and the second in which it was begun. An intent notes when one was about to be
//! begun; what was begun for the same key before that is another client's, and is left alone.

use super::plan::Order;
use crate::core::Core;
use ossfs_store::{PutOptions, Result, Upload, WriteHeaders};
use ossfs_types::{Prefix, Timestamp};

impl Core {
    /// Begins the upload of an order. The ledger tells of it before, so that whoever finds the order finds the upload.
    pub(super) async fn begin_noted_upload(&self, order: &mut Order) -> Result<Upload> {
        // What is at the key when it is completed is what matters: by then it may be something else, or set aside.
        let headers = WriteHeaders { forbid_overwrite: false, ..self.write_headers(order) };
        let options = PutOptions { metadata: self.metadata(order).await?, headers };
        let before = order.intent.begun;
        order.intent.begun.get_or_insert_with(|| self.clock.now());
        self.change(|world| world.tree.set_intent(&order.key, Some(order.intent.clone())));
        self.synced().await?;
        let upload = self.store.create_upload(&order.key, &options).await?;
        if let Some(begun) = before {
            // An attempt before this one may have begun another.
            self.end_unnamed_uploads(order, begun, Some(&upload)).await?;
        }
        Ok(upload)
    }

    /// Aborts the uploads for the key of an order that were begun since, but for one.
    pub(super) async fn end_unnamed_uploads(
        &self,
        order: &Order,
        begun: Timestamp,
        kept: Option<&Upload>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.store.list_uploads(&Prefix::from(&order.key), after.as_ref()).await?;
            // Those of the key itself come first, then those of longer ones.
            let own = page.uploads.iter().take_while(|open| open.upload.key == order.key);
            let ours = own.filter(|open| open.initiated.as_second() >= begun.as_second() && Some(&open.upload) != kept);
            for open in ours {
                tracing::debug!(key = %order.key, id = %open.upload.id, "an upload that nobody noted is aborted");
                self.end_upload(&open.upload).await?;
            }
            let more = page.uploads.last().is_some_and(|open| open.upload.key == order.key);
            match page.next.filter(|_| more) {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}
