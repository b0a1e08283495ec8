/**
 * What our plugins use of the markdown-it inside Marp. Marpit declares it as `any`, and markdown-it's own types are
 * a package apart; these few lines keep the plugins checked.
 */
export interface Token {
  readonly type: string;
  content: string;
  hidden: boolean;
  info: string;
  meta: Record<string, unknown> | null;
  /** Of an inline token: its text, emphasis, images. */
  children: Token[] | null;
  attrGet(name: string): string | null;
  attrSet(name: string, value: string): void;
}

export interface State {
  /** The Markdown, before it is cut into tokens. */
  src: string;
  tokens: Token[];
  readonly Token: new (type: string, tag: string, nesting: -1 | 0 | 1) => Token;
}

type RenderRule = (tokens: readonly Token[], index: number) => string;

export interface MarkdownIt {
  readonly core: {
    readonly ruler: {
      before(anchor: string, name: string, rule: (state: State) => void): void;
      after(anchor: string, name: string, rule: (state: State) => void): void;
    };
  };
  readonly renderer: {
    readonly rules: Record<string, RenderRule | undefined>;
    renderInline(tokens: readonly Token[], options: object, env: object): string;
  };
  readonly options: object;
}

/** What a reader sees of an inline token: its text without marks. */
export function textOf(inline: Token): string {
  return (inline.children ?? [])
    .map(({ type, content }) => (type === 'softbreak' || type === 'hardbreak' ? '\n' : content))
    .join('');
}

/** A block of HTML of ours: unlike `html_block`, Marp's list of allowed tags does not strip it. */
export function htmlBlock(state: State, html: string, meta: Token['meta'] = null): Token {
  const token = new state.Token('own_html', '', 0);
  token.content = html;
  token.meta = meta;
  return token;
}

/** Makes `htmlBlock` tokens come out as they are. */
export function ownHtml(md: MarkdownIt): void {
  md.renderer.rules.own_html = (tokens, index) => tokens[index]!.content;
}

/**
 * A core rule that takes the comments `<!-- name: value -->` out of the notes and hands each, with the token that opens
 * its slide, to `take`. Unlike Marp's own directives they hold for their slide alone.
 */
export function slideComments(
  md: MarkdownIt, name: string, take: (value: string, slide: Token | undefined) => void,
): void {
  const comment = new RegExp(`^${name}:\\s*(.*)$`);
  md.core.ruler.before('marpit_collect', name, (state) => {
    let slide: Token | undefined;
    state.tokens = state.tokens.filter((token) => {
      if (token.type === 'marpit_slide_open') slide = token;
      const value = token.type === 'marpit_comment' ? comment.exec(token.content)?.[1] : undefined;
      if (value !== undefined) take(value, slide);
      return value === undefined;
    });
  });
}
