import { hubSettings } from '../checkpoint/hub.ts';
import { reasonOf } from '../checkpoint/network.ts';
import { executable } from '../deck/chromium.ts';
import { readMachine } from '../native/machine.ts';
import { checkDawn } from '../native/dawn.ts';
import { readCuda, readNvidia } from '../native/nvidia.ts';
import { check, installed } from '../native/setup.ts';
import { findCompiler, findNodeHeaders, findPython } from '../native/tools.ts';
import { defaultBackend, hasTensorflow, tensorflowFolder } from '../tensor/backend.ts';
import { dawnFolder, hasDawn } from '../tensor/webgpu/dawn.ts';
import { diagnosis } from './diagnosis.ts';
import { runCommand } from './main.ts';
import { toggle } from './options.ts';

const table = {
  network: toggle('network', 'pregunta también si responde el hub; sin la opción no sale ninguna petición'),
  json: toggle('json', 'lo mismo en JSON, y nada más'),
};

/** `npm run doctor`: what there is to compute with and to present with, and what is missing. */
await runCommand({
  name: 'npm run doctor',
  about: 'Dice con qué se calcularía aquí y por qué, y qué falta para lo demás. No cambia nada.',
  options: table,
}, async (flags) => {
  const write = (line: string) => void process.stdout.write(`${line}\n`);
  const report = await examine(flags.network);
  if (flags.json) return write(JSON.stringify(report, null, 2));
  for (const [name, text] of diagnosis(report)) write(`${`${name}:`.padEnd(17)}${text}`);
});

export type Report = Awaited<ReturnType<typeof examine>>;

async function examine(asksNetwork: boolean) {
  const folder = tensorflowFolder();
  const native = hasTensorflow() ? await check(folder) : undefined;
  const dawn = hasDawn() ? await checkDawn(dawnFolder()) : undefined;
  const chosen = defaultBackend();
  const { endpoint, offline } = hubSettings();
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    machine: readMachine(),
    nvidia: readNvidia(),
    cuda: readCuda(folder),
    backends: {
      tensorflow: { there: native?.found !== undefined, ...native?.found, fault: native?.reason, ...installed(folder) },
      webgpu: {
        there: Boolean(dawn?.found?.adapter), prepared: dawn !== undefined, fault: dawn?.reason, ...dawn?.found,
      },
      wasm: { there: true },
      cpu: { there: true },
    },
    chosen,
    chromium: executable ?? null,
    network: {
      offline,
      proxy: hostOf(process.env['HTTPS_PROXY'] ?? process.env['https_proxy']),
      endpoint,
      answer: asksNetwork ? await answerOf(endpoint) : null,
    },
    setup: { python: findPython(), compiler: findCompiler(), nodeHeaders: findNodeHeaders() },
  };
}

/** Without what an address may hold besides: name and password. */
function hostOf(address: string | undefined): string | null {
  return address && URL.canParse(address) ? new URL(address).host : null;
}

/** Spanish: how a server answers, or why it does not. */
async function answerOf(address: string): Promise<string> {
  try {
    const { status } = await fetch(address, { method: 'HEAD', signal: AbortSignal.timeout(10_000) });
    return `responde (HTTP ${status})`;
  } catch (error) {
    return `no responde (${reasonOf(error)})`;
  }
}
