import { z } from 'zod';
import { readJson } from '../../checkpoint/files.ts';
import { Router } from '../router.ts';
import { unread } from './format.ts';
import type { PeftFormat } from './format.ts';

const schema = z.object({
  experts: z.int({ error: 'se esperaba cuántos adaptadores tiene, 2 o más' }).min(2),
  ...unread('peft_type', 'task_type', 'base_model_name_or_path', 'inference_mode'),
});

/** A router, whose adapters lie in PEFT folders of their own below it. PEFT has no such method. */
export const routerFormat: PeftFormat<Router> = {
  open(base, file, read, loadPart) {
    const { experts } = readJson(file, schema);
    return new Router(base, Array.from({ length: experts }, (_, i) => loadPart(i)), read);
  },
  config: ({ experts }) => ({ experts: experts.length, inference_mode: true }),
  describe: ({ experts }) => `Router over ${experts.length} adapters, which lie in \`adapters/\``,
  parts: ({ experts }) => experts,
};
