import pytest, torch
from obliq.models import build
from obliq.quantization import *
@pytest.mark.parametrize("name,shape",[("convnet",(1,28,28)),("resnet20",(3,32,32)),("mobilenetv2",(3,32,32)),("signal-convnet",(3,128))])
def test_m(name,shape):
    q=quantize(build(name,shape,10),"W4A4"); x=torch.randn(4,*shape); calibrate(q,x); q(x).sum().backward()
    s=integer_state(q); l=load_integer_state(q,s,float_state(q)); assert weights_digest(l)==weights_digest(q)
