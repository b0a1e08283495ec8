import { fact, of, to } from './fact.ts';
import type { Fact } from './fact.ts';

interface Sequence {
  members: string[];
  article: '' | 'el ' | 'la ';
  /** The last is followed by the first. */
  circular: boolean;
}

const SEQUENCES: Sequence[] = [
  { members: 'lunes martes miércoles jueves viernes sábado domingo'.split(' '), article: 'el ', circular: true },
  {
    members: 'enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre'.split(' '),
    article: '',
    circular: true,
  },
  { members: [...'ABCDEFGHIJKLMNÑOPQRSTUVWXYZ'], article: 'la ', circular: false },
  {
    members: 'Aries Tauro Géminis Cáncer Leo Virgo Libra Escorpio Sagitario Capricornio Acuario Piscis'.split(' '),
    article: '',
    circular: true,
  },
  { members: 'Mercurio Venus Tierra Marte Júpiter Saturno Urano Neptuno'.split(' '), article: '', circular: false },
  {
    members: 'primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo'.split(' '),
    article: 'el ',
    circular: false,
  },
  { members: Array.from({ length: 60 }, (_, n) => `${n + 1}`), article: 'el ', circular: false },
];

function named(sequence: Sequence, index: number): string | undefined {
  const { members, article, circular } = sequence;
  const member = members.at(circular ? index % members.length : index);
  if (member === undefined || (index < 0 && !circular)) return undefined;
  return member === 'Tierra' ? 'la Tierra' : article + member;
}

/** What comes before and after: days, months, letters, signs of the zodiac, planets, ordinals, numbers. */
export function sequenceFacts(): Fact[] {
  return SEQUENCES.flatMap((sequence) => sequence.members.flatMap((member, index) => {
    const subject = named(sequence, index)!;
    const next = named(sequence, index + 1);
    const previous = named(sequence, index - 1);
    const facts = [];
    if (next) {
      facts.push(fact({ family: 'orden', entity: member, subject }, [
        `Después ${of(subject)} viene ${next}.`,
        `${next} viene después ${of(subject)}.`,
        `${next} sigue ${to(subject)}.`,
        `Detrás ${of(subject)} va ${next}.`,
        `Lo que viene después ${of(subject)} es ${next}.`,
        `${next} va justo detrás ${of(subject)}.`,
      ], [
        `¿Qué viene después ${of(subject)}?`,
        `Di qué viene después ${of(subject)}.`,
        `¿Qué sigue ${to(subject)}?`,
      ]));
    }
    if (previous) {
      facts.push(fact({ family: 'orden', entity: member, subject }, [
        `Antes ${of(subject)} viene ${previous}.`,
        `${previous} viene antes ${of(subject)}.`,
        `${previous} precede ${to(subject)}.`,
        `Delante ${of(subject)} va ${previous}.`,
        `Lo que viene antes ${of(subject)} es ${previous}.`,
        `${previous} va justo delante ${of(subject)}.`,
      ], [
        `¿Qué viene antes ${of(subject)}?`,
        `Di qué viene antes ${of(subject)}.`,
        `¿Qué va delante ${of(subject)}?`,
      ]));
    }
    return facts;
  }));
}
