import { UserError } from '../errors.ts';
import { isLinear, weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { fullMatch } from './pattern.ts';

/** Which modules of a model an adapter changes, in PEFT's terms. */
export interface Targets {
  /** `all-linear`; names or their last parts, as `['q_proj', 'self_attn.v_proj']`; or a regular expression. */
  readonly targetModules: string | readonly string[];
  /** Left out, named in the same ways. */
  readonly excludeModules?: string | readonly string[] | undefined;
  /** Only these layers, counted from 0; with `targetModules` as a list of names. */
  readonly layersToTransform?: number | readonly number[] | undefined;
  /** What precedes the layer's number, as `layers`: a regular expression, or several. */
  readonly layersPattern?: string | readonly string[] | undefined;
  /** Modules trained whole, by the ends of their names, as `['embed_tokens', 'lm_head']`. */
  readonly modulesToSave?: readonly string[] | undefined;
}

/** How a message calls a field: the option of the command line, unless it comes from a file. */
export type Where = (field: string) => string;
export const asOption: Where = (field) => `--${field.replaceAll('_', '-')}`;

/**
 * The linear layers that get an adapter, by the rules of PEFT's `check_target_module_exists`, in the model's order.
 *
 * @throws UserError when a name or expression names none, or one that cannot have an adapter here.
 */
export function targetPaths(config: LlamaConfig, targets: Targets, where: Where = asOption): string[] {
  const names = [...weightShapes(config).keys()].filter((name) => name.endsWith('.weight'));
  const linear = new Set(names.filter(isLinear).map(moduleOf));
  const modules = [...new Set([...names.map(moduleOf), 'lm_head'])];
  const isTarget = targetTest(targets, where);
  const isExcluded = excludedTest(targets, where);
  const chosen = modules.filter((path) => isTarget(path, linear.has(path)) && !isExcluded(path));
  const other = chosen.find((path) => !linear.has(path));
  if (other !== undefined) {
    throw new UserError(
      `${where('target_modules')}: «${other}» no puede llevar adaptador; solo se admiten las capas lineales de los `
      + `bloques (${lastParts(linear)}): quítalo de la lista o de la expresión.`,
    );
  }
  if (typeof targets.targetModules !== 'string') refuseUnknown(targets.targetModules, modules, linear, where);
  if (chosen.length === 0) {
    throw new UserError(
      `${where('target_modules')}: no elige ninguna capa; las que hay son ${lastParts(linear)}, o all-linear para todas.`,
    );
  }
  return chosen;
}

/**
 * The same by the last parts of their names, as `q_proj`, for what knows no block from another.
 *
 * @param why Spanish: for whom blocks are all alike, as in «una receta las nombra sin número»
 * @throws UserError also when some blocks get other adapters than others
 */
export function targetNames(config: LlamaConfig, targetModules: Targets['targetModules'], why: string): string[] {
  const paths = targetPaths(config, { targetModules });
  const names = [...new Set(paths.map((path) => path.split('.').at(-1)!))];
  if (paths.length === names.length * config.layers) return names;
  throw new UserError(`--target-modules elige unas capas sí y otras no, y ${why}: `
    + 'usa all-linear, nombres como q_proj,v_proj o una expresión sin números de capa.');
}

/** The weights of the modules that are trained whole, in the model's order; with a tied head, `lm_head` is one too. */
function savedNames(config: LlamaConfig, modulesToSave: readonly string[], where: Where): string[] {
  const names = [...new Set([...weightShapes(config).keys(), 'lm_head.weight'])];
  // As PEFT: a name's end is enough, without a dot before it, and a module may be named by what contains it.
  const isSaved = (name: string, end: string) => containersOf(moduleOf(name)).some((module) => module.endsWith(end));
  const unknown = modulesToSave.find((end) => end === '' || !names.some((name) => isSaved(name, end)));
  if (unknown !== undefined) {
    throw new UserError(
      `${where('modules_to_save')}: no existe el módulo «${unknown}» en este modelo; se esperaba, por ejemplo, `
      + 'embed_tokens, lm_head o norm.',
    );
  }
  return names.filter((name) => modulesToSave.some((end) => isSaved(name, end)));
}

/** The same with their shapes. A tied head that is trained has a matrix of its own. */
export function savedShapes(
  config: LlamaConfig, { modulesToSave = [] }: Targets, where: Where,
): Map<string, number[]> {
  const shapes = weightShapes(config);
  return new Map(savedNames(config, modulesToSave, where).map((name) =>
    [name, shapes.get(name) ?? shapes.get('model.embed_tokens.weight')!]));
}

/**
 * The value of a pattern table (`rank_pattern`, `alpha_pattern`) for a module: that of the first key that matches the
 * module's name or its last parts, as PEFT's `get_pattern_key`.
 */
export function patternValue(
  pattern: Readonly<Record<string, number>>, field: string, where: Where,
): (path: string) => number | undefined {
  const rules = Object.entries(pattern).map(([key, value]) => (
    { matches: fullMatch(`(.*\\.)?(${key})$`, where(field)), value }));
  return (path) => rules.find(({ matches }) => matches(path))?.value;
}

function moduleOf(weight: string): string {
  return weight.replace(/\.(weight|bias)$/, '');
}

/** `a.b.c`: a, a.b and itself. */
function containersOf(path: string): string[] {
  const parts = path.split('.');
  return parts.map((_, i) => parts.slice(0, i + 1).join('.'));
}

function targetTest(targets: Targets, where: Where): (path: string, isLinear: boolean) => boolean {
  const { targetModules, layersToTransform, layersPattern } = targets;
  if (typeof targetModules === 'string') {
    const given = layersToTransform !== undefined ? 'layers_to_transform' : 'layers_pattern';
    if (layersToTransform !== undefined || layersPattern !== undefined) {
      throw new UserError(
        `${where(given)}: solo vale con target_modules como lista de nombres; quítalo, o da la lista.`,
      );
    }
    if (targetModules.toLowerCase() === 'all-linear') return (_path, isLinear) => isLinear;
    return fullMatch(targetModules, where('target_modules'));
  }
  const isLayer = layerTest(layersToTransform, layersPattern, where);
  return (path) => targetModules.includes(path)
    || (targetModules.some((name) => path.endsWith(`.${name}`)) && isLayer(path));
}

function layerTest(
  layers: Targets['layersToTransform'], pattern: Targets['layersPattern'], where: Where,
): (path: string) => boolean {
  const chosen = [layers ?? []].flat();
  if (chosen.length === 0) return () => true;
  const patterns = [pattern ?? []].flat().filter((text) => text !== '');
  const before = (patterns.length > 0 ? patterns : ['[^.]*'])
    .map((text) => fullMatch(`(?:^|.*?\\.)${text}\\.\\d+\\..*`, where('layers_pattern')));
  return (path) => {
    const layer = /\.(\d+)\./.exec(path)?.[1]; // a Llama's names have one number: the layer's
    return layer !== undefined && chosen.includes(Number(layer)) && before.some((matches) => matches(path));
  };
}

function excludedTest({ excludeModules, modulesToSave = [] }: Targets, where: Where): (path: string) => boolean {
  const saved = modulesToSave.map((name) => fullMatch(`(^|.*\\.)${name}($|\\..*)`, where('modules_to_save')));
  const isSaved = (path: string) => saved.some((matches) => matches(path));
  if (excludeModules === undefined || excludeModules.length === 0) return isSaved;
  if (typeof excludeModules === 'string') {
    const matches = fullMatch(excludeModules, where('exclude_modules'));
    return (path) => matches(path) || isSaved(path);
  }
  return (path) => isSaved(path) || excludeModules.includes(path)
    || excludeModules.some((name) => path.endsWith(`.${name}`));
}

/** PEFT overlooks a name that no module has; here it is a slip to be told. */
function refuseUnknown(
  targets: readonly string[], modules: readonly string[], linear: ReadonlySet<string>, where: Where,
): void {
  if (targets.length === 0) {
    throw new UserError(`${where('target_modules')}: la lista está vacía; elige entre ${lastParts(linear)}, o all-linear.`);
  }
  const unknown = targets.find((name) => !modules.some((path) => path === name || path.endsWith(`.${name}`)));
  if (unknown === undefined) return;
  throw new UserError(
    `${where('target_modules')}: no existe el módulo «${unknown}»; los conocidos son ${lastParts(linear)}, o all-linear `
    + 'para todos.',
  );
}

function lastParts(paths: Iterable<string>): string {
  return [...new Set([...paths].map((path) => path.slice(path.lastIndexOf('.') + 1)))].join(', ');
}
