// Clients of the well-known patterns against `linnet serve`, whose dialects they speak without knowing it.
import { after, before, describe, it } from 'node:test';
import * as behaviours from './lib/behaviours.mjs';
import { serve } from './lib/linnet.mjs';
import * as clients from './peers/clients.mjs';

for (const workers of [1, 4]) {
  describe(`patterns, with ${workers} workers`, () => {
    let server;
    before(async () => { server = await serve(workers); });
    after(() => server.stop());
    for (const [title, behave, Client] of [
      ['channel subscriptions, again after a reconnect', behaviours.channels, clients.Channels],
      ['heartbeat', behaviours.heartbeat, clients.Heartbeat],
      ['message queuing', behaviours.queued, clients.Queued],
      ['buffering before there is a connection', behaviours.buffered, clients.Buffered],
      ['protocol: queries, commands, events', behaviours.requests, clients.Requests],
      ['connection pool', behaviours.pool, clients.Pool],
      ['auto-reconnect', behaviours.simple, clients.Simple],
    ]) it(title, () => behave(Client, server));
  });
}

describe('patterns, when the server dies', () => {
  it('reconnection with a queue', () => behaviours.reconnecting(clients.Reconnecting));
});
