// A HeartbeatWebSocket with a short interval stays open because its pings are answered.
import assert from 'node:assert/strict';
import { block, load, once } from './seed.mjs';

const [file, url] = process.argv.slice(2);
const source = block(file, 'class HeartbeatWebSocket');
const { HeartbeatWebSocket } = await load(`${source}\nexport { HeartbeatWebSocket };\n`, 'mjs');

const client = new HeartbeatWebSocket(`${url}/ws`, 50);
let strange = 0;
client.handleMessage = () => { strange++; };
for (let n = 0; n < 5; n++) await once(client, 'resetHeartbeat');
assert.equal(client.connection.readyState, WebSocket.OPEN);
assert.equal(strange, 0, 'nothing but pongs came');
process.exit(0);
