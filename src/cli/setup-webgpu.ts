import { dawnPackage, setUpDawn, undoDawn } from '../native/dawn.ts';
import { dawnFolder } from '../tensor/webgpu/dawn.ts';
import { adapterText } from './webgpu-adapter.ts';
import { interruption, runCommand } from './main.ts';
import { optional, text, toggle } from './options.ts';
import { onScreen } from './screen.ts';

const command = 'npm run setup:webgpu';

const table = {
  from: optional('from', 'ARCHIVO', `el paquete ya descargado, ${dawnPackage.name}-${dawnPackage.version}.tgz, para una máquina sin red`, text('un archivo')),
  undo: toggle('undo', 'lo quita: todo queda como tras npm ci'),
};

/** `npm run setup:webgpu`: brings Dawn, by which the backend «webgpu» reaches the GPU of any vendor. */
await runCommand({
  name: command,
  about: `Da al backend «webgpu» la biblioteca Dawn, que npm ci no trae: la descarga con npm, se queda con la parte de esta
plataforma (22 MB) y la comprueba. WEBGPU_ADAPTER, parte de un nombre, elige entre varias GPU.`,
  options: table,
}, async (flags) => {
  const folder = dawnFolder();
  await onScreen(async (screen) => {
    if (flags.undo) {
      screen.line(undoDawn(folder) ? 'Quitado.' : 'No había nada que quitar.');
      return;
    }
    const { signal } = interruption();
    const { already, adapter } = await setUpDawn({
      folder, from: flags.from, say: (line) => screen.line(line), signal,
    });
    screen.line(`${already ? 'Ya estaba' : 'Listo'}. ${adapter === null
      ? 'Pero Dawn no encuentra ninguna GPU: «npm run doctor» dice qué falta'
      : `Calcula en ${adapterText(adapter)}, con un producto y un gradiente comprobados: se usa con --backend webgpu`}; `
    + `se quita con «${command} -- --undo».`);
  });
});
