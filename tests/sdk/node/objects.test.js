// Objects: put, get, head, delete, copy, append, symlinks, metadata.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';
import { judge } from './sandbox.js';

const KEYS = ['plain', 'dir/inner', 'dir/', 'a b', 'a+b', 'a%2Fb', 'q?x=1&y', 'hash#', '中文/文件', 'z\u{1f600}', "quote'"];

const refusal = (status, code) => error => {
  assert.equal(error.status, status);
  assert.equal(error.code, code);
  return true;
};

judge('objects', fresh => {
  it('reads back what was put', async () => {
    const oss = await fresh();
    const body = Buffer.from('hello');
    const put = await oss.put('key', body);
    const etag = `"${createHash('md5').update(body).digest('hex').toUpperCase()}"`;
    assert.equal(put.res.headers.etag, etag);
    assert.match(put.res.headers['x-oss-request-id'], /^[0-9A-F]{24}$/);
    const got = await oss.get('key');
    assert.deepEqual(got.content, body);
    assert.equal(got.res.headers['x-oss-hash-crc64ecma'], put.res.headers['x-oss-hash-crc64ecma']);
  });

  for (const key of KEYS) {
    it(`takes the key ${JSON.stringify(key)}`, async () => {
      const oss = await fresh();
      await oss.put(key, Buffer.from(key));
      assert.equal((await oss.get(key)).content.toString(), key);
      assert.deepEqual((await oss.list({})).objects.map(object => object.name), [key]);
      assert.equal((await oss.delete(key)).res.status, 204);
    });
  }

  it('streams up and down', async () => {
    const oss = await fresh();
    const block = Buffer.alloc(100_000, 'b');
    await oss.putStream('key', Readable.from([block, block, block]));
    const { stream } = await oss.getStream('key');
    assert.deepEqual(await buffer(stream), Buffer.concat([block, block, block]));
  });

  it('takes and gives files', async () => {
    const oss = await fresh();
    const directory = await mkdtemp(join(tmpdir(), 'judge-'));
    try {
      await writeFile(join(directory, 'up.txt'), 'from a file');
      await oss.put('key', join(directory, 'up.txt'));
      await oss.get('key', join(directory, 'down.txt'));
      assert.equal(await readFile(join(directory, 'down.txt'), 'utf8'), 'from a file');
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('reads a range', async () => {
    const oss = await fresh();
    await oss.put('key', Buffer.from('0123456789'));
    const got = await oss.get('key', { headers: { Range: 'bytes=2-4' } });
    assert.equal(got.res.status, 206);
    assert.equal(got.content.toString(), '234');
    assert.equal(got.res.headers['content-range'], 'bytes 2-4/10');
  });

  it('honours conditions', async () => {
    const oss = await fresh();
    const { res } = await oss.put('key', Buffer.from('x'));
    assert.equal((await oss.get('key', { headers: { 'If-Match': res.headers.etag } })).content.toString(), 'x');
    await assert.rejects(oss.get('key', { headers: { 'If-Match': '"0"' } }), refusal(412, 'PreconditionFailed'));
    assert.equal((await oss.head('key', { headers: { 'If-None-Match': res.headers.etag } })).status, 304);
  });

  it('keeps metadata and changes it', async () => {
    const oss = await fresh();
    await oss.put('key', Buffer.from('x'), { meta: { uid: 1000, colour: 'blue' }, mime: 'text/x-judge' });
    const head = await oss.head('key');
    assert.deepEqual(head.meta, { uid: '1000', colour: 'blue' });
    assert.equal(head.res.headers['content-type'], 'text/x-judge');
    await oss.putMeta('key', { size: 'big' });
    assert.deepEqual((await oss.head('key')).meta, { size: 'big' });
    const meta = await oss.getObjectMeta('key');
    assert.equal(meta.res.headers['content-length'], '1');
    assert.equal(meta.res.headers['x-oss-meta-size'], undefined);
  });

  it('refuses as OSS does', async () => {
    const oss = await fresh();
    await assert.rejects(oss.get('missing'), refusal(404, 'NoSuchKey'));
    await assert.rejects(oss.head('missing'), refusal(404, 'NoSuchKey'));
    await oss.put('key', Buffer.from('x'));
    const forbid = { headers: { 'x-oss-forbid-overwrite': 'true' } };
    await assert.rejects(oss.put('key', Buffer.from('y'), forbid), refusal(409, 'FileAlreadyExists'));
    await assert.rejects(oss.put('key', Buffer.from('y'), { headers: { 'Content-MD5': 'AAAAAAAAAAAAAAAAAAAAAA==' } }),
      refusal(400, 'InvalidDigest'));
    oss.useBucket('judge-no-such-bucket');
    await assert.rejects(oss.get('key'), refusal(404, 'NoSuchBucket'));
  });

  it('deletes many', async () => {
    const oss = await fresh();
    for (const key of KEYS) await oss.put(key, Buffer.from('x'));
    const { deleted } = await oss.deleteMulti(KEYS);
    assert.deepEqual(deleted.map(({ Key }) => Key).sort(), [...KEYS].sort());
    await oss.put('a', Buffer.from('x'));
    assert.deepEqual((await oss.deleteMulti(['a'], { quiet: true })).deleted, []);
    assert.equal((await oss.list({})).objects?.length ?? 0, 0);
  });

  it('copies', async () => {
    const oss = await fresh();
    const put = await oss.put('dir/a b', Buffer.from('x'), { meta: { colour: 'blue' } });
    const copied = await oss.copy('copy', 'dir/a b');
    assert.equal(copied.data.etag, put.res.headers.etag);
    assert.deepEqual((await oss.head('copy')).meta, { colour: 'blue' });
    await oss.copy('copy', 'dir/a b', { meta: { colour: 'red' }, headers: { 'x-oss-metadata-directive': 'REPLACE' } });
    assert.deepEqual((await oss.head('copy')).meta, { colour: 'red' });
    await assert.rejects(oss.copy('copy', 'missing'), refusal(404, 'NoSuchKey'));
    await assert.rejects(oss.copy('copy', 'dir/a b', { headers: { 'If-Match': '"0"' } }), error => error.status === 412);
  });

  it('appends', async () => {
    const oss = await fresh();
    const first = await oss.append('log', Buffer.from('one '));
    assert.equal(first.nextAppendPosition, '4');
    const second = await oss.append('log', Buffer.from('two'), { position: 4 });
    assert.equal(second.nextAppendPosition, '7');
    await assert.rejects(oss.append('log', Buffer.from('x'), { position: 3 }), refusal(409, 'PositionNotEqualToLength'));
    assert.equal((await oss.get('log')).content.toString(), 'one two');
  });

  it('links', async () => {
    const oss = await fresh();
    await oss.put('dir/target', Buffer.from('through'));
    await oss.putSymlink('link', 'dir/target', { meta: { colour: 'blue' } });
    const link = await oss.getSymlink('link');
    assert.equal(link.targetName, 'dir/target');
    assert.equal((await oss.get('link')).content.toString(), 'through');
    await oss.putSymlink('dangling', 'nowhere');
    await assert.rejects(oss.get('dangling'), refusal(404, 'SymlinkTargetNotExist'));
  });

  it('archives and restores', async () => {
    const oss = await fresh();
    await oss.put('key', Buffer.from('frozen'), { headers: { 'x-oss-storage-class': 'Archive' } });
    await assert.rejects(oss.get('key'), refusal(403, 'InvalidObjectState'));
    assert.equal((await oss.restore('key')).res.status, 202);
  });
});
