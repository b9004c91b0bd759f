// A free port below the ephemeral range, where a load generator's own
// connections cannot sit on it.
import net from "node:net";

function isFree(port) {
  return new Promise((answer) => {
    const probe = net.createServer();
    probe.once("error", () => answer(false));
    probe.listen({ port, host: "127.0.0.1" }, () => probe.close(() => answer(true)));
  });
}

export async function freePort(wanted) {
  if (wanted) return wanted;
  for (let i = 0; i < 200; i++) {
    const port = 20000 + ((process.pid * 7 + i * 37) % 12000);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port");
}

// [PORT] [--deflate=takeover|no-takeover]
export function options(argv) {
  const deflate = argv.find((a) => a.startsWith("--deflate="))?.slice(10) ?? "off";
  const port = Number(argv.find((a) => /^\d+$/.test(a)) ?? 0);
  return { port, deflate };
}
