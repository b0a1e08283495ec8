import { measure } from '../train/measure.ts';
import type { MeasureOptions } from '../train/measure.ts';
import { useBackend } from '../tensor/backend.ts';
import type { BackendName } from '../tensor/backend.ts';
import { gainsFrom16Bits, useMixedPrecision } from '../tensor/bfloat16.ts';
import { runProgram } from './main.ts';

/** One measurement of `npm run bench`, in a process of its own, whose peak of memory is then the measurement's. */
const { backend, ...options } = JSON.parse(process.argv[2]!) as MeasureOptions & { backend: BackendName };
await runProgram(async () => {
  await useBackend(backend);
  useMixedPrecision(gainsFrom16Bits(backend));
  process.stdout.write(`${JSON.stringify(await measure(options))}\n`);
});
