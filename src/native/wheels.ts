/** A wheel of Python's index, of which some members are taken; its Python is not used. */
export interface Wheel {
  readonly project: string;
  readonly version: string;
  /** Its file's name. */
  readonly file: string;
  readonly sha256: string;
  /** Of the file. */
  readonly bytes: number;
  /** `PREFIX=TARGET`: members whose name begins with PREFIX go to TARGET and the rest of their name. */
  readonly members: readonly string[];
  /** Those without which it is of no use, where they go. */
  readonly needed: readonly string[];
}

const tensorflow = {
  version: '2.21.0',
  /** The libraries, and the headers that the binding and our operations include. */
  members: [
    'tensorflow/libtensorflow_=deps/lib/libtensorflow_',
    'tensorflow/include/tensorflow/c/=include/tensorflow/c/',
    'tensorflow/include/tensorflow/core/platform/ctstring=include/tensorflow/core/platform/ctstring',
    'tensorflow/include/tsl/platform/ctstring=include/tsl/platform/ctstring',
    'tensorflow/include/tsl/platform/platform.h=include/tsl/platform/platform.h',
    'tensorflow/include/xla/tsl/c/=include/xla/tsl/c/',
  ],
  needed: [
    'deps/lib/libtensorflow_cc.so.2', 'deps/lib/libtensorflow_framework.so.2', 'include/tensorflow/c/c_api.h',
  ],
};

export const cpuWheel: Wheel = {
  ...tensorflow,
  project: 'tensorflow-cpu',
  file: 'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
  sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  bytes: 273_829_956,
};

const cudaWheel: Wheel = {
  ...tensorflow,
  project: 'tensorflow',
  file: 'tensorflow-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
  sha256: 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0',
  bytes: 572_611_111,
};

/**
 * CUDA 12.5 and cuDNN 9.3, with which TensorFlow 2.21 was built: the lowest version of each that its wheel's metadata
 * asks for. In the order in which they need each other. No machine of ours has had them: the hashes are those that the
 * index gives, by a list that others published.
 */
const cudaParts = [
  ['cuda_runtime', '12.5.82', 895_707, '3e79a060e126df40fd3a068f3f787eb000fa51b251ec6cd97d09579632687115',
    ['lib/libcudart.so.12']],
  ['cuda_nvrtc', '12.5.82', 24_873_108, '3dbd97b0104b4bfbc3c4f8c79cd2496307c89c43c29a9f83125f1d76296ff3fd',
    ['lib/libnvrtc.so.12']],
  ['nvjitlink', '12.5.82', 21_298_879, 'f9b37bc5c8cf7509665cb6ada5aaa0ce65618f2332b7d3e78e9790511f111212',
    ['lib/libnvJitLink.so.12']],
  ['cublas', '12.5.3.2', 363_313_169, 'ca070ad70e9fa6654084575d01bd001f30cc4665e33d4bb9fc8e0f321caa034b',
    ['lib/libcublasLt.so.12', 'lib/libcublas.so.12']],
  ['cufft', '11.2.3.61', 192_524_114, '9a6e8df162585750f61983a638104a48c756aa13f9f48e19ab079b38e3c828b8',
    ['lib/libcufft.so.11']],
  ['curand', '10.3.6.82', 56_309_107, '2823fb27de4e44dbb22394a6adf53aa6e1b013aca0f8c22867d1cfae58405536',
    ['lib/libcurand.so.10']],
  ['cusparse', '12.5.1.3', 217_558_979, '016df8e993c437e8301e62739f01775cba988fd5253cd4c64173f8e8d2f8e752',
    ['lib/libcusparse.so.12']],
  ['cusolver', '11.6.3.83', 130_341_232, '93cfafacde4428b71778eeb092ec615a02a3d05404da1bcf91c53e3fa1bce42b',
    ['lib/libcusolver.so.11']],
  ['cuda_cupti', '12.5.82', 13_811_507, 'bde77a5feb66752ec61db2adfe47f56b941842825b4c7e2068aff27c9d107953',
    ['lib/libcupti.so.12']],
  ['nccl', '2.27.7', 322_546_339, 'de5ba5562f08029a19cb1cd659404b18411ed0d6c90ac5f52f30bf99ad5809aa',
    ['lib/libnccl.so.2']],
  ['cudnn', '9.3.0.75', 577_163_502, '9ad9c6929ebb5295eb4a1728024666d1c88283373e265a0c5c883e6f9d5cd76d',
    ['lib/libcudnn.so.9']],
  // Of the compiler what XLA needs: the assembler, and the mathematics of the device.
  ['cuda_nvcc', '12.5.82', 22_468_537, 'b03e545b8e8c3ce7ebcd7fc44063180ff52ff01d064ece2127ed90a04ef12cd0',
    ['bin/ptxas', 'nvvm/libdevice/libdevice.10.bc']],
] as const;

/** Where the libraries lie in a set-up: TensorFlow and XLA look there too, beside their own folder. */
export const cudaFolder = 'deps/nvidia';

/** TensorFlow with CUDA: its wheel, and those of the libraries. */
export const cudaWheels: readonly Wheel[] = [cudaWheel, ...cudaParts.map((part): Wheel => {
  const [folder, version, bytes, sha256, needed] = part;
  const tags = `py3-none-manylinux2014_x86_64${folder === 'nccl' ? '.manylinux_2_17_x86_64' : ''}`;
  const taken = folder === 'cuda_nvcc' ? needed : ['lib/lib'];
  return {
    project: `nvidia-${folder.replace('_', '-')}-cu12`,
    version,
    file: `nvidia_${folder}_cu12-${version}-${tags}.whl`,
    sha256,
    bytes,
    members: taken.map((name) => `nvidia/${folder}/${name}=${cudaFolder}/${folder}/${name}`),
    needed: needed.map((name) => `${cudaFolder}/${folder}/${name}`),
  };
})];

/** The libraries of CUDA that TensorFlow loads by name, or that those load: `FOLDER/lib/NAME`, in their order. */
export const cudaLibraries: readonly string[] = cudaParts.flatMap(([folder, , , , needed]) =>
  needed.filter((name) => name.startsWith('lib/')).map((name) => `${folder}/${name}`));

/** The version of a library that a set-up with CUDA has: `cudnn` → «9.3.0.75». */
export function cudaVersionOf(part: (typeof cudaParts)[number][0]): string {
  return cudaParts.find(([folder]) => folder === part)![1];
}
