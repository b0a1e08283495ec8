import { z } from 'zod';
import { setUp, undo } from '../native/setup.ts';
import type { Installed, Source } from '../native/setup.ts';
import { tensorflowFolder } from '../tensor/backend.ts';
import { interruption, runCommand } from './main.ts';
import { option, toggle } from './options.ts';
import type { Kind } from './options.ts';
import { onScreen } from './screen.ts';

const command = 'npm run setup:tensorflow';

const source: Kind<Source> = {
  schema: z.string().trim().min(1).transform((from) => (from === 'pip' || from === 'google' ? from : { folder: from })),
  expected: 'pip, google o una carpeta',
};

const table = {
  from: option('from', 'DE', 'pip (TensorFlow 2.21), google (2.9.1) o la carpeta de una biblioteca', source, 'pip'),
  cuda: toggle('cuda', 'con CUDA 12.5 y cuDNN 9.3, para una GPU de NVIDIA (2,5 GB)'),
  undo: toggle('undo', 'quita la biblioteca: todo queda como tras npm ci'),
};

/** `npm run setup:tensorflow`: gives `@tensorflow/tfjs-node-gpu` its native library, and compiles its binding. */
await runCommand({
  name: command,
  about: 'Da al backend «tensorflow» su biblioteca nativa, que npm ci no trae: la descarga, compila el enlace y la comprueba.',
  options: table,
}, async (flags) => {
  const folder = tensorflowFolder();
  await onScreen(async (screen) => {
    if (flags.undo) {
      screen.line(undo(folder) ? 'Quitada: sin más, se calcula con wasm.' : 'No había nada que quitar.');
      return;
    }
    const { signal } = interruption();
    const { from: source, cuda } = flags;
    const { already, ...now } = await setUp({ source, cuda, folder, show: screen, signal });
    screen.line(`${already ? 'Ya estaba' : 'Listo'}: ${describe(now)}. Es el backend por defecto desde ahora; se quita con «${command} -- --undo».`);
    if (flags.cuda && now.device === 'CPU') {
      screen.line('TensorFlow no ve ninguna GPU y calculará en la CPU: «npm run doctor» dice qué falta.');
    }
  });
});

function describe({ tensorflow, source, device }: Installed): string {
  return `TensorFlow ${tensorflow} (de ${source}) en la ${device}, con un producto y un gradiente comprobados`;
}
