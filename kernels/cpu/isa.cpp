// Compiled once per instruction set, with SA_ISA naming it. Nothing here may be inlined into another
// set's code, so no standard library headers with inline functions.
#include "between.h"
#include "fused.h"

#define SA_STRING_OF(x) #x
#define SA_STRING(x) SA_STRING_OF(x)

namespace sparse_agents {
namespace SA_ISA {

extern const KernelTable table = {SA_STRING(SA_ISA), kVectorBytes,
                                  {forward<float>, forward<double>},
                                  {backward<float>, backward<double>},
                                  {fit<float>, fit<double>},
                                  {ascend<float>, ascend<double>},
                                  {apply<float>, apply<double>}};

} // namespace SA_ISA
} // namespace sparse_agents
