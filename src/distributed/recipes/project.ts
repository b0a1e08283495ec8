import { formatNumber } from '../../format.ts';
import { megatronFiles } from './megatron.ts';
import { nemoFiles } from './nemo.ts';
import type { EngineFiles, Recipe, RecipeData, RecipeOptions } from './recipe.ts';
import { processes } from './recipe.ts';
import { trlFiles } from './trl.ts';

const titles: Record<RecipeOptions['engine'], string> = {
  'trl': 'TRL con DDP', 'fsdp': 'TRL con FSDP', 'fsdp2': 'TRL con FSDP2', 'deepspeed': 'TRL con DeepSpeed ZeRO',
  'megatron-bridge': 'Megatron-Bridge', 'nemo': 'NeMo Automodel',
};

/**
 * A complete project for one engine: configuration, data, requirements, launching, and the way back.
 *
 * @throws UserError when the engine cannot do what the options ask for
 */
export function recipe(options: RecipeOptions, data: RecipeData, { command }: { command: string }): Recipe {
  const engine = filesOf(options, data);
  const files = new Map(Object.entries({
    ...engine.files,
    'requirements.txt': `${engine.requirements.join('\n')}\n`,
    'launch.sh': `#!/usr/bin/env bash\nset -euo pipefail\ncd "$(dirname "$0")"\n${engine.launch}\n`,
    ...(options.nodes > 1 && { 'launch.slurm': slurm(options, engine.launchSlurm) }),
    'heldout.json': `${JSON.stringify(data.questions, null, 1)}\n`,
    'README.md': readme(options, data, engine, command),
  }));
  return { files, notes: engine.notes };
}

function filesOf(options: RecipeOptions, data: RecipeData): EngineFiles {
  switch (options.engine) {
    case 'nemo': return nemoFiles(options, data);
    case 'megatron-bridge': return megatronFiles(options, data);
    default: return trlFiles(options, data);
  }
}

const slurm = ({ nodes, gpusPerNode }: RecipeOptions, launch: string): string => `#!/usr/bin/env bash
#SBATCH --job-name=qlora
#SBATCH --nodes=${nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=${gpusPerNode}
#SBATCH --exclusive
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# One task a node starts that node's processes; the variables are read there, each node its own.
srun bash -c '${launch}'
`;

function readme(
  options: RecipeOptions, data: RecipeData, { adapter, notes, launch }: EngineFiles, command: string,
): string {
  const { batchSize, accumulation, nodes, template, maxLength } = options;
  const replicas = processes(options) / (options.tensorParallel * options.pipelineParallel);
  return `# ${titles[options.engine]}: ${options.base}

Escrito por \`${command}\`. ${formatNumber(data.train.length)} ejemplos para entrenar y \
${formatNumber(data.heldOut.length)} preguntas de examen: el mismo reparto que hace \`npm run demo\` con esas opciones.
Lote efectivo: ${batchSize} × ${accumulation} × ${replicas} réplicas = ${batchSize * accumulation * replicas}.

## Entrenar

\`\`\`sh
python -m venv venv && . venv/bin/activate && pip install -r requirements.txt
${nodes > 1 ? 'sbatch launch.slurm' : 'bash launch.sh'}
\`\`\`

${nodes > 1 ? 'Cada nodo ejecuta lo que dice `launch.slurm`; la carpeta tiene que ser visible desde todos.' : `Ejecuta:\n\n\`\`\`sh\n${launch}\n\`\`\``}
${notes.length > 0 ? `\n## Qué hace de otro modo este motor\n\n${notes.map((note) => `- ${note}`).join('\n')}\n` : ''}
## De vuelta

El adaptador queda en \`${adapter.folder}\`, como carpeta de PEFT. ${adapter.how.join(' ')}

\`\`\`sh
npm run evaluate -- --model CARPETA_DE_LA_BASE --adapter ${adapter.folder} --held-out heldout.json \
--template ${template} --max-length ${maxLength}
\`\`\`
`;
}
