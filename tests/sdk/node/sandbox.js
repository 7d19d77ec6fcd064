// A running `ossfs sandbox` (the binary that OSSFS_BIN names) and `ali-oss` clients of it. Every wait has a deadline.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, describe } from 'node:test';
import OSS from 'ali-oss';

const KEY_ID = 'LTAIjudgeAccessKeyId';
const SECRET = 'judge-access-key-secret';
const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 10_000;

let bucketNumber = 0;

export class Sandbox {
  static async start(...flags) {
    const sandbox = new Sandbox();
    sandbox.process = spawn(
      process.env.OSSFS_BIN,
      ['sandbox', '--listen', '127.0.0.1:0', '--access-key-id', KEY_ID, '--access-key-secret', SECRET, ...flags],
      { stdio: ['ignore', 'pipe', 'inherit'] }
    );
    sandbox.exit = new Promise(resolve => sandbox.process.once('exit', resolve));
    const lines = createInterface({ input: sandbox.process.stdout });
    sandbox.url = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no `listening on` line')), START_DEADLINE_MS);
      lines.on('line', line => {
        const found = /^listening on (http:\/\/\S+)$/.exec(line);
        if (found) {
          clearTimeout(timer);
          resolve(found[1]);
        }
      });
      sandbox.process.once('exit', code => reject(new Error(`the sandbox ended: ${code}`)));
    });
    return sandbox;
  }

  async stop() {
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_DEADLINE_MS);
    this.process.kill('SIGTERM');
    await this.exit;
    clearTimeout(timer);
  }

  client(options) {
    return new OSS({
      region: 'oss-cn-hangzhou',
      endpoint: this.url,
      accessKeyId: KEY_ID,
      accessKeySecret: SECRET,
      timeout: 20_000,
      ...options
    });
  }

  /**
   * A client on an empty bucket of its own. At an IP address ali-oss names the bucket in `Host`; with `sldEnable` it
   * puts the bucket into the path, which goes together with a name only.
   */
  async fresh(options) {
    const byName = options?.sldEnable && { endpoint: this.url.replace('127.0.0.1', 'localhost') };
    const client = this.client({ ...byName, ...options });
    const name = `judge-node-${process.pid}-${(bucketNumber += 1)}`;
    await client.putBucket(name);
    client.useBucket(name);
    return client;
  }
}

/** Runs `suite(fresh, sandbox)` with each signature version; `fresh()` gives a client on an empty bucket. */
export function judge(name, suite) {
  for (const authorizationV4 of [true, false]) {
    describe(`${name}, ${authorizationV4 ? 'V4' : 'V1'}`, { timeout: 120_000 }, () => {
      const running = {};
      before(async () => {
        running.sandbox = await Sandbox.start();
      });
      after(() => running.sandbox?.stop());
      suite(options => running.sandbox.fresh({ authorizationV4, ...options }), running);
    });
  }
}
