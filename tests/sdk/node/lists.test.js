// Listings and buckets.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { judge } from './sandbox.js';

const NAMES = ['a', 'a/1', 'a/2', 'b', 'c d', 'c+d', 'e/1', '中'];
const bytewise = (one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other));
const SORTED = [...NAMES].sort(bytewise);

judge('lists', fresh => {
  const filled = async () => {
    const oss = await fresh();
    for (const name of NAMES) await oss.put(name, Buffer.from(name));
    return oss;
  };

  for (const size of [1, 3, 8, 1000]) {
    it(`pages of ${size}`, async () => {
      const oss = await filled();
      const v1 = [];
      let marker;
      for (let more = true; more; ) {
        const page = await oss.list({ 'max-keys': size, ...(marker && { marker }) });
        v1.push(...page.objects.map(object => object.name));
        marker = page.nextMarker;
        more = page.isTruncated;
        assert.ok(v1.length <= NAMES.length);
      }
      assert.deepEqual(v1, SORTED);
      const v2 = [];
      let token;
      for (let more = true; more; ) {
        const page = await oss.listV2({ 'max-keys': size, ...(token && { 'continuation-token': token }) });
        v2.push(...page.objects.map(object => object.name));
        assert.equal(page.keyCount, page.objects.length);
        token = page.nextContinuationToken;
        more = page.isTruncated;
        assert.ok(v2.length <= NAMES.length);
      }
      assert.deepEqual(v2, SORTED);
    });
  }

  it('folds at a delimiter', async () => {
    const oss = await filled();
    for (const page of [await oss.list({ delimiter: '/' }), await oss.listV2({ delimiter: '/' })]) {
      assert.deepEqual(page.prefixes, ['a/', 'e/']);
      assert.deepEqual(page.objects.map(object => object.name), SORTED.filter(name => !name.includes('/')));
    }
    const inner = await oss.list({ prefix: 'a/', delimiter: '/' });
    assert.deepEqual(inner.objects.map(object => [object.name, object.type, object.size]),
      [['a/1', 'Normal', 3], ['a/2', 'Normal', 3]]);
  });

  it('starts after a name', async () => {
    const oss = await filled();
    const page = await oss.listV2({ 'start-after': 'b' });
    assert.deepEqual(page.objects.map(object => object.name), SORTED.filter(name => bytewise(name, 'b') > 0));
  });

  it('refuses too large a page', async () => {
    const oss = await fresh();
    await assert.rejects(oss.list({ 'max-keys': 1001 }), error => error.code === 'InvalidArgument');
  });

  it('describes a bucket', async () => {
    const oss = await fresh();
    await oss.put('key', Buffer.from('12345'));
    const name = oss.getBucket();
    const { bucket } = await oss.getBucketInfo(name);
    assert.equal(bucket.Name, name);
    assert.equal(bucket.Location, 'oss-cn-hangzhou');
    assert.equal(bucket.StorageClass, 'Standard');
    assert.equal((await oss.getBucketLocation(name)).location, 'oss-cn-hangzhou');
    const { stat } = await oss.getBucketStat(name);
    assert.equal(stat.ObjectCount, '1');
    assert.equal(stat.Storage, '5');
    assert.equal((await oss.getBucketACL(name)).acl, 'private');
    await oss.putBucketACL(name, 'public-read');
    assert.equal((await oss.getBucketACL(name)).acl, 'public-read');
    await oss.putBucketVersioning(name, 'Enabled');
    assert.equal((await oss.getBucketVersioning(name)).versionStatus, 'Enabled');
  });

  it('creates, lists and deletes buckets', async () => {
    const oss = await fresh();
    const base = oss.getBucket();
    for (const suffix of ['a', 'b', 'c']) await oss.putBucket(`${base}-${suffix}`);
    const first = await oss.listBuckets({ prefix: `${base}-`, 'max-keys': 2 });
    assert.deepEqual(first.buckets.map(bucket => bucket.name), [`${base}-a`, `${base}-b`]);
    assert.equal(first.isTruncated, true);
    const rest = await oss.listBuckets({ prefix: `${base}-`, marker: first.nextMarker });
    assert.deepEqual(rest.buckets.map(bucket => bucket.name), [`${base}-c`]);
    await oss.deleteBucket(`${base}-a`);
    await assert.rejects(oss.getBucketInfo(`${base}-a`), error => error.code === 'NoSuchBucket');
    oss.useBucket(`${base}-b`);
    await oss.put('key', Buffer.from('x'));
    await assert.rejects(oss.deleteBucket(`${base}-b`), error => error.code === 'BucketNotEmpty');
  });
});
