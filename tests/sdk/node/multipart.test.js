// Multipart uploads, their copies and their listings.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { judge } from './sandbox.js';

const MIN = 102_400;
const BODY = Buffer.alloc(3 * MIN + 17, 'multipart ');

const rejected = code => error => error.code === code;

judge('multipart', fresh => {
  const part = (oss, upload, number, body) => oss.uploadPart('key', upload, number, body, 0, body.length);

  it('uploads in parts', async () => {
    const oss = await fresh();
    const progress = [];
    const result = await oss.multipartUpload('key', BODY, {
      partSize: MIN, parallel: 3, meta: { colour: 'blue' }, progress: done => progress.push(done)
    });
    assert.match(result.etag ?? result.res.headers.etag, /-4"$/);
    assert.deepEqual((await oss.get('key')).content, BODY);
    assert.deepEqual((await oss.head('key')).meta, { colour: 'blue' });
    assert.equal(progress.at(-1), 1);
    assert.deepEqual((await oss.listUploads({})).uploads, []);
  });

  it('goes on from a checkpoint', async () => {
    const oss = await fresh();
    let checkpoint;
    await assert.rejects(oss.multipartUpload('key', BODY, {
      partSize: MIN, parallel: 1, progress: (done, at) => {
        checkpoint = at;
        if (done > 0.5) throw new Error('enough');
      }
    }));
    await oss.multipartUpload('key', BODY, { checkpoint });
    assert.deepEqual((await oss.get('key')).content, BODY);
  });

  it('copies parts', async () => {
    const oss = await fresh();
    await oss.put('source', BODY);
    const { uploadId } = await oss.initMultipartUpload('key');
    const source = { sourceKey: 'source', sourceBucketName: oss.getBucket() };
    const parts = [];
    for (const [number, range] of [[1, `0-${MIN - 1}`], [2, `${MIN}-${BODY.length - 1}`]]) {
      const copied = await oss.uploadPartCopy('key', uploadId, number, range, source);
      parts.push({ number, etag: copied.etag });
    }
    await oss.completeMultipartUpload('key', uploadId, parts);
    assert.deepEqual((await oss.get('key')).content, BODY);
    await oss.multipartUploadCopy('copy', source, { partSize: MIN });
    assert.deepEqual((await oss.get('copy')).content, BODY);
  });

  it('lists parts and uploads in pages', async () => {
    const oss = await fresh();
    const { uploadId } = await oss.initMultipartUpload('key');
    for (const number of [1, 2, 3]) await part(oss, uploadId, number, Buffer.alloc(number, 'p'));
    const first = await oss.listParts('key', uploadId, { 'max-parts': 2 });
    assert.deepEqual(first.parts.map(({ PartNumber, Size }) => [PartNumber, Size]), [['1', '1'], ['2', '2']]);
    assert.equal(first.isTruncated, 'true');
    const rest = await oss.listParts('key', uploadId, { 'part-number-marker': first.nextPartNumberMarker });
    assert.deepEqual([rest.parts].flat().map(({ PartNumber }) => PartNumber), ['3']);
    await oss.initMultipartUpload('other');
    const uploads = await oss.listUploads({ 'max-uploads': 1 });
    assert.deepEqual(uploads.uploads.map(upload => upload.name), ['key']);
    assert.equal(uploads.isTruncated, true);
    const more = await oss.listUploads({
      'key-marker': uploads.nextKeyMarker, 'upload-id-marker': uploads.nextUploadIdMarker
    });
    assert.deepEqual(more.uploads.map(upload => upload.name), ['other']);
  });

  it('refuses as OSS does', async () => {
    const oss = await fresh();
    const { uploadId } = await oss.initMultipartUpload('key');
    const small = await part(oss, uploadId, 1, Buffer.alloc(10));
    const last = await part(oss, uploadId, 2, Buffer.alloc(10));
    const listed = [{ number: 1, etag: small.etag }, { number: 2, etag: last.etag }];
    await assert.rejects(oss.completeMultipartUpload('key', uploadId, listed), rejected('EntityTooSmall'));
    const missing = [{ number: 3, etag: last.etag }];
    await assert.rejects(oss.completeMultipartUpload('key', uploadId, missing), rejected('InvalidPart'));
    await oss.abortMultipartUpload('key', uploadId);
    await assert.rejects(oss.abortMultipartUpload('key', uploadId), rejected('NoSuchUpload'));
    await assert.rejects(part(oss, uploadId, 1, Buffer.alloc(1)), rejected('NoSuchUpload'));
  });
});
