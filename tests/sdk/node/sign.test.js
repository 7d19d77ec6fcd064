// Signatures: presigned URLs, tokens, wrong credentials, addressing.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OSS from 'ali-oss';
import { judge } from './sandbox.js';

// Node's `fetch` connects to the host of the URL: clients here put the bucket into the path.
const path = { sldEnable: true };

judge('signatures', (fresh, running) => {
  const sign = (oss, method, key, expires = 60) => (oss.options.authorizationV4
    ? oss.signatureUrlV4(method, expires, undefined, key)
    : oss.signatureUrl(key, { method, expires }));

  it('takes path style too', async () => {
    const oss = await fresh(path);
    await oss.put('dir/a b+c', Buffer.from('by path'));
    assert.equal((await oss.get('dir/a b+c')).content.toString(), 'by path');
    assert.deepEqual((await oss.list({ prefix: 'dir/' })).objects.map(object => object.name), ['dir/a b+c']);
  });

  it('presigns GET and PUT', async () => {
    const oss = await fresh(path);
    const put = await fetch(await sign(oss, 'PUT', 'dir/a b+c'), { method: 'PUT', body: Buffer.from('signed') });
    assert.equal(put.status, 200, await put.text());
    const get = await fetch(await sign(oss, 'GET', 'dir/a b+c'));
    assert.equal(await get.text(), 'signed');
  });

  it('refuses an expired URL', async () => {
    const oss = await fresh(path);
    await oss.put('key', Buffer.from('x'));
    const url = await sign(oss, 'GET', 'key', 1);
    await sleep(2500);
    const late = await fetch(url);
    assert.equal(late.status, 403);
    assert.match(await late.text(), /<Code>AccessDenied<\/Code>/);
  });

  it('takes a security token', async () => {
    const oss = await fresh({ stsToken: 'CAIS+token/==', refreshSTSToken: null });
    await oss.put('key', Buffer.from('x'));
    assert.equal((await oss.get('key')).content.toString(), 'x');
  });

  it('refuses wrong credentials', async () => {
    const oss = await fresh();
    const options = {
      region: 'oss-cn-hangzhou', endpoint: running.sandbox.url, bucket: oss.getBucket(),
      authorizationV4: oss.options.authorizationV4, accessKeyId: oss.options.accessKeyId, accessKeySecret: 'another'
    };
    await assert.rejects(new OSS(options).get('key'), error => error.code === 'SignatureDoesNotMatch');
    await assert.rejects(new OSS({ ...options, accessKeyId: 'nobody' }).get('key'),
      error => error.code === 'InvalidAccessKeyId');
  });
});
